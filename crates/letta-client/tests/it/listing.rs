//! The list of agents: complete or an error.

use std::time::Duration;

use letta_client::{Backend, BackendError, demo::Demo};

use super::Lab;

async fn with(agents: usize) -> Lab {
    Lab::of(Demo::builder().agents(agents).build(), |_| {}).await
}

#[tokio::test]
async fn all_agents_are_listed_over_all_pages_oldest_first() {
    let lab = with(250).await;
    let agents = lab.backend.agents().await.unwrap();
    assert_eq!(agents, lab.demo().agents());
    assert_eq!(agents[0].name, "Ada (demo)");
    assert_eq!(agents[0].tags, ["demo"]);
    assert_eq!(lab.demo().request_count("GET /v1/agents/"), 3);
}

#[tokio::test]
async fn a_list_that_ends_with_a_full_page_is_complete() {
    let lab = with(200).await;
    assert_eq!(lab.backend.agents().await.unwrap().len(), 200);
}

#[tokio::test]
async fn no_agents_is_an_empty_list() {
    let lab = with(1).await;
    assert!(lab.demo().remove_agent(&lab.to.agent));
    assert_eq!(lab.backend.agents().await.unwrap(), []);
}

#[tokio::test]
async fn lettas_own_helpers_are_left_out() {
    let lab = with(1).await;
    lab.demo().add_agent("Ada-sleeptime").unwrap();
    lab.demo().add_agent("Ada-doc-sleeptime").unwrap();
    assert_eq!(lab.backend.agents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failing_page_fails_the_whole_list() {
    let lab = with(150).await;
    lab.demo().set_faults(|faults| {
        faults.listing_status = Some(500);
        faults.listing_fails_later = true;
    });
    let error = lab.backend.agents().await.unwrap_err();
    assert!(
        matches!(error, BackendError::ServerError { status: 500, .. }),
        "{error:?}"
    );
    lab.demo().set_listing_failing(None);
    assert_eq!(lab.backend.agents().await.unwrap().len(), 150);
}

#[tokio::test]
async fn a_server_that_repeats_its_first_page_shortens_nothing_and_ends() {
    let lab = with(150).await;
    lab.demo().set_faults(|faults| faults.repeat_pages = true);
    let error = lab.backend.agents().await.unwrap_err();
    assert!(matches!(error, BackendError::Protocol { .. }), "{error:?}");
    assert_eq!(lab.demo().request_count("GET /v1/agents/"), 2);

    let lab = with(100).await;
    lab.demo().set_faults(|faults| faults.repeat_pages = true);
    assert_eq!(lab.backend.agents().await.unwrap().len(), 100);
}

#[tokio::test]
async fn renames_and_removals_show_in_the_next_list() {
    let lab = with(3).await;
    let ids: Vec<_> = lab
        .demo()
        .agents()
        .into_iter()
        .map(|agent| agent.id)
        .collect();
    assert!(lab.demo().rename_agent(&ids[0], "Lovelace"));
    assert!(lab.demo().remove_agent(&ids[1]));
    let agents = lab.backend.agents().await.unwrap();
    let names: Vec<_> = agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["Lovelace", "Alan (demo)"]);
    assert_eq!(
        lab.backend.agent(&ids[0]).await.unwrap().unwrap().name,
        "Lovelace"
    );
    assert_eq!(lab.backend.agent(&ids[1]).await.unwrap(), None);
    assert_eq!(
        lab.backend
            .agent(&"agent-nonsense".parse().unwrap())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_list_that_takes_too_long_is_silence() {
    let timeout = Duration::from_millis(50);
    let lab = Lab::of(Demo::new(), |config| config.call_timeout = timeout).await;
    lab.demo()
        .set_faults(|faults| faults.listing_delay_ms = 60_000);
    let error = lab.backend.agents().await.unwrap_err();
    assert!(
        matches!(error, BackendError::Silent { after } if after == timeout),
        "{error:?}"
    );
}
