//! The real server in aggregated mode: a real host cluster with its controllers, the chart
//! installed in it by helm, and replicas of the program that run outside of it as the chart's
//! ServiceAccount with the chart's own flags.
//!
//! The cluster runs no pods. So the replicas are processes of the test, and the Service of the
//! APIService leads to this machine: kube-apiserver dials `localhost`, where a [`Balancer`]
//! distributes connections to the replicas that are ready.

mod balancer;
pub mod issuer;
mod options;
mod readiness;
mod replica;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Certificate, Options, TestCluster};

use crate::helm::Helm;
use crate::http::Client;
use crate::shell::Mode;
use crate::{Kubectl, Shell, fixture, poll};

use issuer::Issuer;

pub use balancer::Balancer;
pub use options::HostOptions;
pub use replica::Replica;

/// Time limit until the host proxies requests to a server that is ready, on a machine that runs
/// other tests as well.
const LIMIT: Duration = Duration::from_secs(120);

/// Number of consecutive polls in which the host must have served the group.
const STEADY: usize = 5;

/// Name of the release, its namespace, its Service and its ServiceAccount.
pub const NAME: &str = "kubeconfig-apiserver";

/// The users, with their group.
const USERS: [(&str, Option<&str>); 3] = [
    ("admin", Some("system:masters")),
    ("alice", None),
    ("bob", None),
];

/// A host cluster with the server behind it.
pub struct Host {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// The host cluster.
    pub cluster: TestCluster,
    aggregation: Balancer,
    gateway: Balancer,
    gateway_ca: Option<String>,
    folder: TempDir,
}

impl Host {
    /// Starts a host that serves `kubeconfigs.ext.cattle.io`, with the users and clusters
    /// of the fixture.
    ///
    /// # Errors
    /// Fails if a component does not start in time; the error names it.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&HostOptions::default())
    }

    /// Like [`Host::start`], with options.
    pub fn start_with(options: &HostOptions) -> anyhow::Result<Self> {
        let issuer = options.oidc.then(Issuer::start).transpose()?;
        let mut cluster = TestCluster::start(&Options {
            authentication_config: issuer.as_ref().map(Issuer::authentication_config),
            ..Options::default()
        })?;
        cluster.start_controller_manager()?;
        let folder = TempDir::with_prefix("host-")?;
        for name in ["data", "home", "mounts"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let mut host = Self {
            replicas: Vec::new(),
            cluster,
            aggregation: Balancer::start()?,
            gateway: Balancer::start()?,
            gateway_ca: options.gateway_ca.clone(),
            folder,
        };
        host.write_files(issuer.as_ref())?;
        host.install(options)?;
        host.add_replicas(options.replicas)?;
        host.wait_until_available()?;
        host.wait_until_known("alice")?;
        host.admin()?.apply(&fixture::list())?;
        Ok(host)
    }

    /// Starts more replicas, all at once, and waits until they listen.
    pub fn add_replicas(&mut self, count: usize) -> anyhow::Result<()> {
        let log = self.folder.path().join("server.log");
        let arguments = self.arguments()?;
        let mut started = Vec::with_capacity(count);
        for _ in 0..count {
            started.push(Replica::start(&arguments, &log)?);
        }
        for mut replica in started {
            replica.wait_until_listening()?;
            self.aggregation
                .add(replica.secure_port(), replica.readiness());
            self.gateway
                .add(replica.gateway_port(), replica.readiness());
            self.replicas.push(replica);
        }
        Ok(())
    }

    /// Returns a test client as one of the users, directly at a port of a replica. The gateway port
    /// does not know the users of the host: use [`Client::without_credential`] and a token there.
    pub fn client_at(&self, port: u16, user: &str) -> anyhow::Result<Client> {
        let file: Value = serde_json::from_str(&fs::read_to_string(self.kubeconfig(user))?)?;
        self.client_at_with(port, &file["users"][0]["user"])
    }

    /// Returns a test client that uses this certificate at a port of a replica.
    pub fn client_at_as(&self, port: u16, shown: &Certificate) -> anyhow::Result<Client> {
        self.client_at_with(port, &credential(shown))
    }

    fn client_at_with(&self, port: u16, credential: &Value) -> anyhow::Result<Client> {
        let url = format!("https://127.0.0.1:{port}");
        Client::from_kubeconfig(&file(
            &url,
            &STANDARD.encode(self.replica_ca()?),
            credential,
        ))
    }

    /// Returns a test client without a credential at a URL of the replicas.
    pub(crate) fn anonymous_at(&self, url: &str) -> anyhow::Result<Client> {
        Client::from_kubeconfig(&file(url, &STANDARD.encode(self.replica_ca()?), &json!({})))
    }

    /// Returns the CAs of both ports of the replicas, PEM.
    pub(crate) fn replica_ca(&self) -> anyhow::Result<String> {
        let bundle = "-o=jsonpath={.spec.caBundle}";
        let get = ["get", "apiservice", "v1.ext.cattle.io", bundle];
        let mut pem = String::from_utf8(STANDARD.decode(self.admin()?.0.output(&get)?)?)?;
        pem.extend(self.gateway_ca.as_deref());
        Ok(pem)
    }

    /// Returns a test client at the host with a certificate for a user with this name, in this
    /// group.
    pub fn stranger(&self, user: &str, group: Option<&str>) -> anyhow::Result<Client> {
        let certificate = self.cluster.client_certificate(user, group)?;
        Client::from_kubeconfig(&self.file(&credential(&certificate)))
    }

    /// Waits until all replicas report that they are ready.
    pub fn wait_until_ready(&self) -> anyhow::Result<()> {
        poll::until("all replicas are ready", LIMIT, || {
            let ready = |replica: &Replica| replica.readiness().is_ready();
            Ok(self.replicas.iter().all(ready).then_some(()))
        })
        .with_context(|| self.logs())
    }

    /// Returns the replica that the host has used most since the last call. The host uses one
    /// replica as long as its connection lasts.
    pub fn busiest(&self) -> Option<usize> {
        let port = self.aggregation.busiest()?;
        let is_it = |replica: &Replica| replica.secure_port() == port;
        self.replicas.iter().position(is_it)
    }

    /// Returns kubectl as the host's administrator.
    pub fn admin(&self) -> anyhow::Result<Admin> {
        Ok(Admin(self.kubectl("admin")?))
    }

    /// Returns kubectl as one of the users, at the host's own address.
    pub fn kubectl(&self, user: &str) -> anyhow::Result<Kubectl> {
        Kubectl::new(self.kubeconfig(user), self.folder.path().join("home"))
    }

    /// Returns a test client as one of the users, at the host's own address.
    pub fn client(&self, user: &str) -> anyhow::Result<Client> {
        Client::from_file(&self.kubeconfig(user))
    }

    /// Returns a shell for transcripts with kubectl and the users' kubeconfigs.
    pub fn shell(&self) -> anyhow::Result<Shell> {
        let shell = Shell::new()?.in_mode(Mode::Aggregated);
        shell.with_kubectl(&self.data_dir())
    }

    /// Returns the path of a kubeconfig of the host: `admin`, `alice`, `bob`, or an added user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.data_dir().join(format!("{user}.kubeconfig"))
    }

    /// Returns the URL at which users reach the gateway.
    pub fn gateway_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.gateway.port())
    }

    /// Waits until the host proxies requests for the group to the replicas and its discovery is
    /// stable, which changes back and forth while the APIService changes.
    pub fn wait_until_available(&self) -> anyhow::Result<()> {
        let admin = self.admin()?.0;
        let condition = "-o=jsonpath={.status.conditions[?(@.type=='Available')]}";
        let cache = format!("--cache-dir={}", self.folder.path().join("cache").display());
        let explain = ["explain", "kubeconfigs.ext.cattle.io", &cache];
        let mut in_a_row = 0;
        poll::until("the APIService is available", LIMIT, || {
            let found = admin.output(&["get", "apiservice", "v1.ext.cattle.io", condition])?;
            let available = found.contains(r#""status":"True""#);
            // A discovery cache would answer instead of the host.
            let _ = fs::remove_dir_all(self.folder.path().join("cache"));
            let answers = |command: &[&str]| Ok::<_, anyhow::Error>(admin.run(command)?.code == 0);
            let served = available && answers(&["get", "kubeconfigs"])? && answers(&explain)?;
            in_a_row = if served { in_a_row + 1 } else { 0 };
            Ok((in_a_row == STEADY).then_some(()))
        })
        .with_context(|| self.logs())
    }

    /// Returns the end of the log of the replicas, which all log to one file.
    pub fn logs(&self) -> String {
        self.replicas
            .last()
            .map(Replica::log_end)
            .unwrap_or_default()
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Waits until the host knows a user: it reads the documents of an issuer asynchronously.
    fn wait_until_known(&self, user: &str) -> anyhow::Result<()> {
        let client = self.client(user)?;
        poll::until("the host knows its users", LIMIT, || {
            Ok((client.get("/apis")?.status == 200).then_some(()))
        })
    }

    /// Writes a kubeconfig for each user.
    fn write_files(&self, issuer: Option<&Issuer>) -> anyhow::Result<()> {
        for (user, group) in USERS {
            let credential = match (user, issuer) {
                ("admin", _) => {
                    credential(&self.cluster.client_certificate("system:admin", group)?)
                }
                (user, None) => credential(&self.cluster.client_certificate(user, group)?),
                (user, Some(issuer)) => json!({"token": issuer.token(user)?}),
            };
            self.add_user(user, &credential)?;
        }
        Ok(())
    }

    /// Adds a kubeconfig of the host for a user with this credential.
    pub fn add_user(&self, user: &str, credential: &Value) -> anyhow::Result<()> {
        Ok(fs::write(self.kubeconfig(user), self.file(credential))?)
    }

    /// Returns a kubeconfig of the host with this credential.
    fn file(&self, credential: &Value) -> String {
        let ca = STANDARD.encode(self.cluster.ca_pem());
        file(&self.cluster.url(), &ca, credential)
    }

    /// Installs the chart, and changes its Service to lead to this machine.
    fn install(&self, options: &HostOptions) -> anyhow::Result<()> {
        let helm = Helm::of(&self.kubeconfig("admin"))?;
        let external = format!("externalUrl={}", self.gateway_url());
        let mut install = vec!["install", NAME, "charts/kubeconfig-apiserver"];
        install.extend([
            "--namespace",
            NAME,
            "--create-namespace",
            "--set",
            &external,
        ]);
        for value in &options.values {
            install.extend(["--set", value]);
        }
        helm.output(&install)?;
        for object in &options.objects {
            self.admin()?.apply(object)?;
        }
        self.lead_here()?;
        let token = ["create", "token", NAME, "-n", NAME, "--duration=10h"];
        let token = self.admin()?.0.output(&token)?;
        let own = self.file(&json!({"token": token.trim_end()}));
        fs::write(self.folder.path().join("server.kubeconfig"), own)?;
        Ok(())
    }

    fn lead_here(&self) -> anyhow::Result<()> {
        let admin = self.admin()?;
        admin.0.output(&["delete", "service", NAME, "-n", NAME])?;
        admin.apply(&json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": NAME},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }))?;
        let port = json!({"spec": {"service": {"port": self.aggregation.port()}}}).to_string();
        let patch = [
            "patch",
            "apiservice",
            "v1.ext.cattle.io",
            "--type=merge",
            "-p",
            &port,
        ];
        admin.0.output(&patch)?;
        Ok(())
    }

    /// Returns the flags of the chart's Deployment, adapted to a process on this machine.
    fn arguments(&self) -> anyhow::Result<Vec<String>> {
        let deployment = ["get", "deployment", NAME, "-n", NAME, "-o=json"];
        let deployment: Value = serde_json::from_str(&self.admin()?.0.output(&deployment)?)?;
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments = container["args"].as_array();
        let arguments = arguments.context("a Deployment without args")?;
        let own = ["--secure-port", "--gateway-port", "--bind-address"];
        let is_own = |argument: &&str| own.iter().any(|flag| argument.starts_with(flag));
        let kept = arguments
            .iter()
            .filter_map(Value::as_str)
            .filter(|argument| !is_own(argument))
            .map(|argument| argument.replace("$(POD_NAMESPACE)", NAME));
        let mut arguments: Vec<String> = kept.collect();
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let path = mount["mountPath"]
                .as_str()
                .context("a mount without path")?;
            let here = self.mount(pod, &mount["name"])?.display().to_string();
            for argument in &mut arguments {
                *argument = argument.replace(path, &here);
            }
        }
        let file = self.folder.path().join("server.kubeconfig");
        arguments.push(format!("--host-kubeconfig={}", file.display()));
        arguments.push("--bind-address=127.0.0.1".to_owned());
        Ok(arguments)
    }

    /// Returns the folder with the files of a volume of the pod, which is a Secret or a ConfigMap.
    fn mount(&self, pod: &Value, volume: &Value) -> anyhow::Result<PathBuf> {
        let mut volumes = pod["volumes"].as_array().into_iter().flatten();
        let found = volumes.find(|known| known["name"] == *volume);
        let found = found.with_context(|| format!("there is no volume {volume}"))?;
        let secret = found["secret"]["secretName"].as_str();
        let kind = if secret.is_some() {
            "secret"
        } else {
            "configmap"
        };
        let name = secret.or(found["configMap"]["name"].as_str());
        let name = name.with_context(|| format!("volume {volume} is of another kind"))?;
        let folder = self.folder.path().join("mounts").join(name);
        fs::create_dir_all(&folder)?;
        let get = ["get", kind, name, "-n", NAME, "-o=json"];
        let source: Value = serde_json::from_str(&self.admin()?.0.output(&get)?)?;
        for (name, value) in source["data"].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let content = match secret {
                Some(_) => STANDARD.decode(text)?,
                None => text.as_bytes().to_vec(),
            };
            let file = folder.join(name);
            fs::write(&file, content)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o440))?;
        }
        Ok(folder)
    }
}

/// Returns a kubeconfig. The CA is in base64.
fn file(url: &str, ca: &str, credential: &Value) -> String {
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "host", "cluster": {
            "server": url,
            "certificate-authority-data": ca,
        }}],
        "users": [{"name": "user", "user": credential}],
        "contexts": [{"name": "host", "context": {"cluster": "host", "user": "user"}}],
        "current-context": "host",
    });
    file.to_string()
}

/// Returns the user entry of a kubeconfig with this certificate.
fn credential(certificate: &Certificate) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(&certificate.certificate),
        "client-key-data": STANDARD.encode(&certificate.key),
    })
}

/// The administrator of a host.
#[derive(Clone, Debug)]
pub struct Admin(pub Kubectl);

impl Admin {
    /// Applies an object or a List of objects.
    pub fn apply(&self, objects: &Value) -> anyhow::Result<()> {
        let apply = ["apply", "-f", "-"];
        let answer = self.0.run_with_input(&apply, &objects.to_string())?;
        ensure!(answer.code == 0, "kubectl apply: {}", answer.stderr);
        Ok(())
    }
}
