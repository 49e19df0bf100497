//! The exact lines that give a homeserver the registration.

use std::path::Path;

use indoc::formatdoc;
use ruma::ServerName;

use crate::registration::Registration;

/// What homeserver it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HomeserverKind {
    /// The one that the bridge brings along.
    Embedded,
    /// Synapse.
    Synapse,
    /// Tuwunel.
    Tuwunel,
    /// Any other that takes application services.
    Other,
}

impl HomeserverKind {
    /// The kind that calls itself `name` in its version.
    pub(super) fn from_name(name: &str) -> Self {
        match name.to_lowercase().as_str() {
            "synapse" => Self::Synapse,
            "tuwunel" => Self::Tuwunel,
            _ => Self::Other,
        }
    }

    /// Where it listens if nobody has changed it.
    pub(super) fn usual_address(self) -> &'static str {
        match self {
            Self::Synapse | Self::Other => "http://localhost:8008",
            Self::Embedded | Self::Tuwunel => "http://localhost:6167",
        }
    }
}

/// What to do so that the homeserver takes the registration at `path`.
pub(super) fn steps(
    kind: HomeserverKind,
    domain: &ServerName,
    path: &Path,
    registration: &Registration,
) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = path.display();
    match kind {
        HomeserverKind::Embedded => String::new(),
        HomeserverKind::Synapse => formatdoc! {"
            Give Synapse the registration. In its homeserver.yaml:

            app_service_config_files:
              - {path}

            Then restart Synapse. It must be able to read that file: it is readable by you only, so
            let Synapse's user read it, or copy it to where Synapse keeps its files.

            People are invited to the space, and join the agents' rooms from there. If they shall be
            in all of them without a click, and may be put into rooms by everybody on this server,
            set `invite: rooms` in the section `rooms` of config.yaml, and in homeserver.yaml:

            auto_accept_invites:
              enabled: true
              only_for_direct_messages: false
              only_from_local_users: true
        "},
        HomeserverKind::Tuwunel => formatdoc! {"
            Give Tuwunel the registration. Send this as one message in the room #admins:{domain}:

            !admin appservices register
            ```yaml
            {yaml}
            ```

            It takes effect at once. If it answers `Duplicate id`, first send
            `!admin appservices unregister {id}`.

            Or, without the room: set `appservice_dir` in the `[global]` section of tuwunel.toml to
            a folder that holds a copy of {path} and nothing else, and restart Tuwunel.
        ", yaml = registration.to_yaml().trim_end(), id = registration.id()},
        HomeserverKind::Other => formatdoc! {"
            Give the homeserver the registration: {path}
            Its documentation says how, look for \"application services\" or \"bridges\". Dendrite:
            `app_service_api.config_files` in dendrite.yaml. Conduit and conduwuit: make the file with
            `registration --conduit` and paste it in their admin room.
        "},
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;
    use crate::config::Config;

    fn lines(kind: HomeserverKind) -> String {
        let registration = Registration::new(&Config::default()).unwrap();
        steps(
            kind,
            server_name!("house.test"),
            Path::new("/etc/registration.yaml"),
            &registration,
        )
    }

    #[test]
    fn synapse_gets_its_two_lines() {
        insta::assert_snapshot!(lines(HomeserverKind::Synapse), @"
        Give Synapse the registration. In its homeserver.yaml:

        app_service_config_files:
          - /etc/registration.yaml

        Then restart Synapse. It must be able to read that file: it is readable by you only, so
        let Synapse's user read it, or copy it to where Synapse keeps its files.

        People are invited to the space, and join the agents' rooms from there. If they shall be
        in all of them without a click, and may be put into rooms by everybody on this server,
        set `invite: rooms` in the section `rooms` of config.yaml, and in homeserver.yaml:

        auto_accept_invites:
          enabled: true
          only_for_direct_messages: false
          only_from_local_users: true
        ");
    }

    #[test]
    fn tuwunel_gets_a_message_to_send() {
        let text = lines(HomeserverKind::Tuwunel);
        insta::assert_snapshot!(text, @r#"
        Give Tuwunel the registration. Send this as one message in the room #admins:house.test:

        !admin appservices register
        ```yaml
        id: letta
        url: http://127.0.0.1:29400
        as_token: This value is generated when generating the registration
        hs_token: This value is generated when generating the registration
        sender_localpart: letta
        namespaces:
          users:
          - exclusive: true
            regex: ^@letta:example\.com$
          - exclusive: true
            regex: ^@agent_[a-z0-9_]+:example\.com$
          aliases:
          - exclusive: true
            regex: ^#letta_agents:example\.com$
          - exclusive: true
            regex: ^#agent_[a-z0-9_]+:example\.com$
        rate_limited: false
        protocols: []
        receive_ephemeral: true
        de.sorunome.msc2409.push_ephemeral: true
        org.matrix.msc3202: true
        io.element.msc4190: true
        ```

        It takes effect at once. If it answers `Duplicate id`, first send
        `!admin appservices unregister letta`.

        Or, without the room: set `appservice_dir` in the `[global]` section of tuwunel.toml to
        a folder that holds a copy of /etc/registration.yaml and nothing else, and restart Tuwunel.
        "#);
    }

    #[test]
    fn others_get_a_direction() {
        insta::assert_snapshot!(lines(HomeserverKind::Other), @r#"
        Give the homeserver the registration: /etc/registration.yaml
        Its documentation says how, look for "application services" or "bridges". Dendrite:
        `app_service_api.config_files` in dendrite.yaml. Conduit and conduwuit: make the file with
        `registration --conduit` and paste it in their admin room.
        "#);
    }
}
