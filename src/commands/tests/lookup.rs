//! Which agent a name finds, and that nobody is guessed.

use super::*;

#[test]
fn agents_are_found_by_what_people_call_them() {
    let candidates = candidates();
    let cases = [
        ("agent-e54fc601-4773", 0),
        ("AGENT-E54FC601-4773", 0),
        ("agent_e54fc601_4773", 0),
        ("@agent_e54fc601_4773:example.org", 0),
        ("scout", 0),
        ("sc", 0),
        (" Sales bot ", 1),
        ("bot", 1),
        ("archive", 2),
        ("@agent_local_aaaa_bbbb:b.c:8448", 2),
        ("e54fc602", 1),
        ("agent-e54fc602", 1),
        ("ÉMILE", 5),
    ];
    for (query, index) in cases {
        assert_eq!(
            find_agent(query, &candidates),
            Lookup::One(&candidates[index]),
            "{query}"
        );
    }
}

#[test]
fn ambiguous_name_finds_no_agent() {
    let candidates = candidates();
    assert_eq!(
        find_agent("sales", &candidates),
        Lookup::Many(vec![&candidates[1], &candidates[2]])
    );
    assert_eq!(
        find_agent("Twin", &candidates),
        Lookup::Many(vec![&candidates[3], &candidates[4]])
    );
    assert_eq!(
        find_agent("e54fc60", &candidates),
        Lookup::Many(vec![&candidates[0], &candidates[1]])
    );
    assert_eq!(
        find_agent("scuot", &candidates),
        Lookup::None {
            suggestions: vec!["Scout"]
        }
    );
    for query in ["", "  ", "agent-", "nothing like it", "111"] {
        assert_eq!(
            find_agent(query, &candidates),
            Lookup::None {
                suggestions: vec![]
            },
            "{query}"
        );
    }
    let many = vec![candidates[0].clone(); 1_000];
    assert!(
        matches!(find_agent("scout", &many), Lookup::Many(found) if found.len() == MATCHES_MAX)
    );
}
