//! The keys of Tuwunel that this server knows and does not honor, and what that means.
//!
//! A `tuwunel.toml` of somebody who moves here must start, so none of these is an error. Whoever
//! counts on one of them must hear that it has no effect, so none is passed over in silence.
//!
//! Keys: <https://github.com/matrix-construct/tuwunel>, `tuwunel-example.toml` of 1.9.

use super::Severity::{self, Loud, Quiet};

/// Keys that mean the same to somebody who finds them without effect.
pub(super) struct IgnoredKeys {
    /// How much it matters.
    pub(super) severity: Severity,
    /// What it means, after the keys and that they have no effect.
    pub(super) meaning: &'static str,
    /// A value that asks for nothing, so that there is nothing to say about it.
    pub(super) harmless: Option<bool>,
    /// The keys; those that end in `*` are all that begin so.
    keys: &'static [&'static str],
}

impl IgnoredKeys {
    const fn new(severity: Severity, meaning: &'static str, keys: &'static [&'static str]) -> Self {
        Self {
            severity,
            meaning,
            harmless: None,
            keys,
        }
    }

    /// A group of switches that ask for nothing while they are off.
    const fn of_switches(meaning: &'static str, keys: &'static [&'static str]) -> Self {
        Self {
            severity: Loud,
            meaning,
            harmless: Some(false),
            keys,
        }
    }

    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|entry| match entry.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => *entry == key,
        })
    }
}

/// The group that `key` is in. Keys of sections are written `section.key`.
pub(super) fn group_of(key: &str) -> Option<&'static IgnoredKeys> {
    GROUPS.iter().find(|group| group.has(key))
}

/// The first group that has a key is the one that counts, so exact keys stand before beginnings.
const GROUPS: &[IgnoredKeys] = &[
    IgnoredKeys::new(
        Loud,
        "no key servers are asked, because federation is not served",
        &[
            "trusted_servers",
            "trusted_server_*",
            "query_trusted_*",
            "only_query_trusted_*",
        ],
    ),
    IgnoredKeys::new(
        Loud,
        "people log in with a password or a token, not by single sign-on",
        &[
            "oidc_*",
            "identity_provider",
            "single_sso",
            "sso_custom_providers_page",
            "mas_secret",
        ],
    ),
    IgnoredKeys::new(Loud, "accounts of a directory cannot log in", &["ldap"]),
    IgnoredKeys::new(Loud, "JSON Web Tokens cannot log in", &["jwt"]),
    IgnoredKeys::new(Loud, "no mail is sent, and none is asked for", &["smtp"]),
    IgnoredKeys::new(
        Loud,
        "people are not asked to accept terms when they register",
        &["registration_terms"],
    ),
    IgnoredKeys::new(
        Loud,
        "media is kept under `database_path` only, not on S3 or elsewhere",
        &[
            "media_storage_providers",
            "store_media_on_providers",
            "storage_provider",
            "media_allow_redirect",
            "conduit_*",
        ],
    ),
    IgnoredKeys::new(
        Loud,
        "the database has one tuning of its own, for a single machine",
        &["rocksdb_*", "db_*", "database_migrations"],
    ),
    IgnoredKeys::new(
        Loud,
        "requests go out directly, past every proxy",
        &["proxy"],
    ),
    IgnoredKeys::new(
        Loud,
        "write the secret into `registration_shared_secret`",
        &["registration_shared_secret_file"],
    ),
    IgnoredKeys::new(
        Loud,
        "the server speaks as `@conduit`",
        &["server_user_localpart"],
    ),
    IgnoredKeys::new(
        Loud,
        "whoever makes a room decides whether it is encrypted",
        &["encryption_enabled_by_default_for_room_type"],
    ),
    IgnoredKeys::of_switches(
        "what it forbids stays possible",
        &[
            "block_non_admin_invites",
            "lockdown_public_room_directory",
            "disable_local_redactions",
            "require_auth_for_profile_requests",
            "media_deny_*",
            "auto_deactivate_banned_room_attempts",
            "refresh_token_hard_logout",
        ],
    ),
    IgnoredKeys::of_switches(
        "what it switches on is not in this server",
        &[
            "delete_rooms_after_leave",
            "forget_forced_upon_leave",
            "push_everything",
            "suppress_push_when_active",
            "show_all_local_users_in_user_directory",
            "show_appservice_users_in_user_directory",
            "allow_guests_auto_join_rooms",
            "log_guest_registrations",
            "allow_experimental_room_versions",
            "bundle_*",
            "msc3664_related_event_match",
        ],
    ),
    IgnoredKeys::new(
        Quiet,
        "calls are announced by `turn_*` only",
        &["well_known.livekit_url", "well_known.rtc_transports"],
    ),
    IgnoredKeys::new(
        Quiet,
        "write `support_page`, `support_role`, `support_email` and `support_mxid`",
        &["well_known.support_contact", "well_known.support_policy"],
    ),
    IgnoredKeys::new(
        Quiet,
        "it is about federation, which is not served",
        &[
            "federat*",
            "auto_accept_invites_local_only",
            "allow_incoming_*",
            "allow_outgoing_*",
            "allow_inbound_profile_lookup_federation_requests",
            "allow_device_name_federation",
            "allow_public_room_directory_over_federation",
            "allowed_remote_server_names*",
            "forbidden_remote_*",
            "prevent_media_downloads_from",
            "request_legacy_media",
            "freeze_legacy_media",
            "fetch_*",
            "feds_*",
            "max_fetch_prev_events",
            "prev_events_concurrency",
            "resolve_state_locally*",
            "forward_extremities_*",
            "hydra_backports",
            "well_known_conn_timeout",
            "well_known_timeout",
            "sender_*",
            "startup_netburst*",
            "deprioritize_joins_through_servers",
            "max_make_join_attempts_per_join_attempt",
            "max_join_attempts_per_join_request",
            "typing_federation_timeout_s",
            "presence_timeout_remote_users",
            "enforce_*",
            "enable_policy_servers",
            "policy_server_*",
        ],
    ),
    IgnoredKeys::new(
        Quiet,
        "names are looked up by the system",
        &[
            "dns_*",
            "query_all_nameservers",
            "query_over_tcp_only",
            "ip_lookup_strategy",
        ],
    ),
    IgnoredKeys::new(
        Quiet,
        "caches, pools and time-outs are the server's own",
        &[
            "cache_capacity_modifier",
            "pdu_cache_*",
            "auth_chain_cache_*",
            "shorteventid_*",
            "shortstatekey_*",
            "eventid*",
            "statekeyshort_*",
            "stateinfo_*",
            "servername_status_*",
            "servernameevent_*",
            "mediaid_*",
            "resolver_cache_*",
            "spacehierarchy_cache_*",
            "stream_*",
            "request_*",
            "max_response_size",
            "client_request_timeout",
            "client_shutdown_timeout",
            "appservice_timeout",
            "appservice_idle_timeout",
            "pusher_idle_timeout",
            "argon2_*",
            "one_time_key_limit",
            "zstd_compression",
            "gzip_compression",
            "brotli_compression",
        ],
    ),
    IgnoredKeys::new(
        Quiet,
        "the log goes where the program sends it, filtered by `log`",
        &[
            "log_*",
            "sentry*",
            "allow_jaeger",
            "jaeger_filter",
            "tracing_flame*",
            "tokio_console",
        ],
    ),
    IgnoredKeys::new(
        Quiet,
        "whoever is not in `trusted_proxies` counts with the address of its connection anyway",
        &["ip_source_trusted_subnets"],
    ),
    IgnoredKeys::new(
        Quiet,
        "this server has no such choice",
        &[
            "access_control_allow_origin",
            "admin_console_automatic",
            "admin_log_capture",
            "admin_output_*",
            "admin_room_notices",
            "admin_signal_execute",
            "allow_public_room_search_by_id",
            "allow_room_admins_to_request_unredacted_events",
            "allow_unlisted_room_search_by_id",
            "allow_unstable_room_versions",
            "appservice_keys_claims",
            "calculate_heroes",
            "config_reload_signal",
            "device_key_update_encrypted_rooms_only",
            "listening",
            "login_token_ttl",
            "login_via_*",
            "maintenance",
            "media_compat_file_link",
            "media_startup_check",
            "media_thumbnail_animated*",
            "media_thumbnail_max_frames",
            "media_video_*",
            "notification_push_path",
            "openid_token_ttl",
            "presence_*",
            "preserve_room_profile_overrides",
            "prune_missing_media",
            "redaction_retention_seconds",
            "refresh_token_idle_only",
            "refresh_token_reuse_*",
            "rendezvous_*",
            "report_room",
            "save_unredacted_events",
            "test",
            "typing_client_timeout_*",
            "url_preview_accept_language",
            "url_preview_bound_interface",
            "url_preview_cache_ttl",
            "url_preview_max_media_size",
            "url_preview_media_user_agent",
            "url_preview_user_agent",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn every_key_is_in_one_group_and_none_is_honored() {
        for group in GROUPS {
            for key in group.keys.iter().filter(|key| !key.ends_with('*')) {
                assert!(keys::default_of(key).is_none(), "{key} is honored");
                let found = group_of(key).unwrap();
                assert_eq!(
                    found.meaning, group.meaning,
                    "{key} is hidden by another group"
                );
            }
        }
    }

    #[test]
    fn no_group_takes_a_misspelled_key_for_its_own() {
        for key in [
            "servername",
            "registration_tokens",
            "turn_uri",
            "url_preview_allowlist",
        ] {
            assert!(group_of(key).is_none(), "{key}");
        }
    }
}
