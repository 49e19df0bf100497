//! Commands about application services. The texts are Tuwunel's.

use super::{
    answer::{block, code_block, error_text},
    command::Appservices,
};
use crate::{
    appservices::{Delivery, Origin},
    config::AppserviceRegistration,
    services::Services,
};

pub(super) async fn run(
    services: &Services,
    command: Appservices,
    below: &str,
) -> Result<String, String> {
    match command {
        Appservices::Register => register(services, below).await,
        Appservices::Unregister { id } => {
            let removed = services.appservices.remove(&id).await;
            let removed =
                removed.map_err(|error| format!("Failed to unregister appservice: {error}"))?;
            let ended = services.operations.end_appservice(&removed).await;
            ended.map_err(error_text)?;
            Ok("Appservice unregistered.".to_owned())
        }
        Appservices::ShowConfig { id } => {
            let found = services.appservices.get(&id);
            let found = found.ok_or_else(|| "Appservice does not exist.".to_owned())?;
            let yaml = found.registration().to_yaml();
            let yaml = yaml.map_err(|error| error.to_string())?;
            Ok(format!(
                "Config for {id}:\n\n```yaml\n{}\n```",
                yaml.trim_end()
            ))
        }
        Appservices::List => {
            let all = services.appservices.all();
            let ids: Vec<_> = all.iter().map(|appservice| appservice.id()).collect();
            Ok(format!("Appservices ({}): {}", ids.len(), ids.join(", ")))
        }
    }
}

async fn register(services: &Services, below: &str) -> Result<String, String> {
    let yaml = code_block(below)?.join("\n");
    let registration = AppserviceRegistration::from_yaml(&yaml)
        .map_err(|error| format!("Could not parse appservice config as YAML: {error}"))?;
    let id = registration.id().to_owned();
    let added = services
        .appservices
        .add(registration, Delivery::Http, Origin::AdminRoom);
    let added = added
        .await
        .map_err(|error| format!("Failed to register appservice: {error}"))?;
    let served = services.transactions.serve(added).await;
    served.map_err(|error| block(&error.to_string()))?;
    Ok(format!("Appservice registered with ID: {id}"))
}
