//! Commands for whoever looks for a fault.

use super::{answer::block, command::Debug, rooms::resolve_room};
use crate::{error::Error, services::Services};

pub(super) async fn run(services: &Services, command: Debug) -> Result<String, String> {
    let error_text = |error: Error| error.to_string();
    match command {
        Debug::Ping => Ok("Pong!".to_owned()),
        Debug::GetPdu { event } => {
            let pdu = services.rooms.event(&event).map_err(error_text)?;
            let pdu = pdu.ok_or_else(|| "PDU not found locally.".to_owned())?;
            let object = pdu.object().map_err(error_text)?;
            serde_json::to_string_pretty(&object)
                .map(|json| format!("```json\n{json}\n```"))
                .map_err(|error| error.to_string())
        }
        Debug::GetRoomState { room } => {
            let room = resolve_room(services, &room).await.map_err(error_text)?;
            let state = services.rooms.state(&room).all().map_err(error_text)?;
            let lines: Vec<_> = state.iter().map(|pdu| pdu.json.get()).collect();
            Ok(block(&lines.join("\n")))
        }
    }
}
