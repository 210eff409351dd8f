//! The one road: typed verbs through the raw surface and back, as for every plugin, linked in or loaded.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use nucleus_abi::{
    Backend, Capability, CapabilityReport, CheckOptionsRequest, Client, ContainerRequest, CreateReply,
    CreateRequest, Description, Descriptors, Done, Error, ErrorCode, ExitStatus, Kind, Reply, ReportRequest,
    SCHEMA, SandboxReply, SandboxRequest, SignalRequest, StateReply, Status, Then, Verdict, WaitRequest,
    linked_plugins,
};

struct Example;

impl Backend for Example {
    fn description(&self) -> Description {
        Description {
            id: "example".into(),
            kind: Kind::Backend,
            version: "1".into(),
            schemas: (1, 1),
            rank: 0,
        }
    }

    fn report(&self, request: &ReportRequest) -> Result<CapabilityReport, Error> {
        Ok(CapabilityReport::of(&request.asked, |_| Verdict::yes("the example")))
    }

    fn sandbox(&self, _: &SandboxRequest, _: Descriptors<'_>) -> Result<Reply<SandboxReply>, Error> {
        panic!("no sandbox today")
    }

    /// Returns a duplicate of the gate as the descriptor to wait on.
    fn create(
        &self,
        request: &CreateRequest,
        descriptors: Descriptors<'_>,
    ) -> Result<Reply<CreateReply>, Error> {
        let gate = descriptors.get(request.gate)?.try_clone_to_owned().unwrap();
        let document = CreateReply {
            pid: None,
            wait: 0,
            failure: None,
            console: None,
            warnings: vec![],
            started: false,
        };
        Ok(Reply { document, descriptors: vec![gate] })
    }

    fn start(&self, request: &ContainerRequest) -> Result<Done, Error> {
        Err(Error::new(ErrorCode::WrongState, "start the workload").on(&request.id).because("it runs"))
    }

    fn wait(&self, _: &WaitRequest, _: Descriptors<'_>) -> Result<ExitStatus, Error> {
        Ok(ExitStatus::Signalled { signal: 9 })
    }

    fn state(&self, _: &ContainerRequest) -> Result<StateReply, Error> {
        Ok(StateReply { status: Status::Stopped, pid: None })
    }

    fn signal(&self, _: &SignalRequest) -> Result<Done, Error> {
        Ok(Done::default())
    }

    fn delete(&self, _: &ContainerRequest) -> Result<Done, Error> {
        Ok(Done::default())
    }
}

nucleus_abi::link_backend!(Example);

fn client() -> Client {
    let surface = linked_plugins().next().expect("the macro has registered the example");
    Client::new(surface).unwrap()
}

fn container() -> ContainerRequest {
    ContainerRequest { schema: SCHEMA, id: "web".parse().unwrap(), directory: "/nowhere".into() }
}

#[test]
fn a_linked_plugin_is_found_and_described() {
    assert_eq!(client().description().id, "example");
    assert_eq!(client().description().kind, Kind::Backend);
}

#[test]
fn a_report_answers_what_was_asked_and_nothing_else() {
    let request = ReportRequest {
        schema: SCHEMA,
        asked: vec![Capability::Pids],
        options: serde_json::Value::Null,
        memory: None,
    };
    let report = client().report(&request).unwrap();
    assert_eq!(report.verdict(Capability::Pids), Verdict::yes("the example"));
    assert!(matches!(report.verdict(Capability::Memory), Verdict::No { .. }));
}

#[test]
fn descriptors_cross_in_both_directions() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let request = CreateRequest {
        schema: SCHEMA,
        id: "web".parse().unwrap(),
        directory: "/".into(),
        gate: 0,
        then: Then::Wait,
    };
    let reply = client().create(&request, &[writer.as_fd()]).unwrap();
    drop(writer);
    let returned: OwnedFd = reply.descriptors.into_iter().next().unwrap();
    std::io::Write::write_all(&mut std::fs::File::from(returned), b"through").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn a_descriptor_that_did_not_come_is_a_protocol_error() {
    let request = CreateRequest {
        schema: SCHEMA,
        id: "web".parse().unwrap(),
        directory: "/".into(),
        gate: 3,
        then: Then::Wait,
    };
    let error = client().create(&request, &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Protocol);
    assert_eq!(error.subject.as_deref(), Some("index 3"));
}

#[test]
fn an_error_arrives_with_all_its_fields() {
    let error = client().start(&container()).unwrap_err();
    assert_eq!(error.to_string(), "cannot start the workload: web: it runs");
    assert_eq!(error.code, ErrorCode::WrongState);
}

#[test]
fn a_panic_becomes_an_error_that_names_the_plugin() {
    let request = SandboxRequest {
        schema: SCHEMA,
        id: "web".parse().unwrap(),
        directory: "/".into(),
        bundle: "/".into(),
        config: serde_json::value::to_raw_value(&serde_json::json!({})).unwrap(),
        options: serde_json::Value::Null,
        cgroup: None,
        beyond: nucleus_abi::Beyond::default(),
        memory: None,
        ledger: 0,
        rootfs: None,
        mount_sources: std::collections::BTreeMap::new(),
        namespaces: std::collections::BTreeMap::new(),
        secret_environment: None,
        stdio: [0, 1, 2],
        extra: Vec::new(),
        network: nucleus_abi::NetworkWish::Leave,
    };
    let error = client().sandbox(&request, &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::PluginPanicked);
    assert_eq!(error.subject.as_deref(), Some("plugin `example`"));
    assert_eq!(error.cause.as_deref(), Some("no sandbox today"));
}

#[test]
fn options_that_a_backend_does_not_have_are_refused_by_name() {
    let request = CheckOptionsRequest { schema: SCHEMA, options: serde_json::json!({"platform": "kvm"}) };
    let error = client().check_options(&request).unwrap_err();
    assert_eq!(error.code, ErrorCode::ProfileInvalid);
    assert_eq!(error.subject.as_deref(), Some("platform"));
}

#[test]
fn a_verb_that_a_plugin_lacks_is_not_supported_and_no_crash() {
    let request = nucleus_abi::HookRequest {
        schema: SCHEMA,
        point: nucleus_abi::HookPoint::Started,
        id: "web".parse().unwrap(),
        options: serde_json::Value::Null,
        profile: serde_json::Value::Null,
        environment: std::collections::BTreeMap::new(),
        time: String::new(),
        container: None,
    };
    assert_eq!(client().event(&request).unwrap_err().code, ErrorCode::NotSupported);
}
