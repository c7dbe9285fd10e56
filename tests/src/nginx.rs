//! nginx, a server that is not ours, on ports of this machine that are free.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{LIMIT, wait_for};

/// Where `cargo xtask test` puts nginx if the system has none.
const OWN: &str = "../target/tools/bin/nginx";

fn program() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(OWN);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join("nginx"));
    let mut places = in_path.chain(["/usr/sbin/nginx".into(), own]);
    places.find(|place| place.is_file()).expect("nginx is missing: `cargo xtask test` fetches it, or install nginx")
}

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Nginx {
    /// Starts a server whose `listen` directive ends as given, such as ` ssl http2`, with these directives in its only server.
    /// Its files are in `directory`.
    pub fn start(directory: &Path, listen: &str, directives: &str) -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").expect("there is a free port").local_addr().expect("it is bound").port();
        let conf = directory.join("nginx.conf");
        let text = format!(
            "worker_processes 1; daemon off; master_process off; pid nginx.pid; error_log error.log;
             events {{ worker_connections 512; }}
             http {{
               log_format known '$server_protocol $request_method $request_uri $status $content_length $http_authorization';
               access_log access.log known;
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
               scgi_temp_path scgi;
               server {{ listen 127.0.0.1:{port}{listen}; {directives} }}
             }}"
        );
        fs::write(&conf, text).expect("the directory can be written");
        let mut command = Command::new(program());
        command.arg("-p").arg(directory).arg("-c").arg(&conf).args(["-e", "error.log"]);
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx starts");
        wait_for("nginx to listen", LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { process, directory: directory.to_owned(), port }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The lines of its log that the requests for this path left, once there are so many.
    pub fn log(&self, path: &str, lines: usize) -> Vec<String> {
        wait_for("the lines of nginx's log", LIMIT, || {
            let text = fs::read_to_string(self.directory.join("access.log")).ok()?;
            let of_path = |line: &&str| line.split(' ').nth(2) == Some(path);
            let found: Vec<_> = text.lines().filter(of_path).map(str::to_owned).collect();
            (found.len() >= lines).then_some(found)
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
