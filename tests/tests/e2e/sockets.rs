//! Requests from the host, answered inside a container that has no network of the host's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};

use nucleus_tests::Host;

use crate::{PROFILES, open_directory, writable};

/// Listens on a port of the host, and leaves the socket as standard input to what it executes (as inetd does).
const LISTEN: &str = "
import os, socket, sys
server = socket.create_server(('127.0.0.1', 0))
os.dup2(server.fileno(), 0)
with open(sys.argv[1] + '.part', 'w') as file: file.write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + '.part', sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
";

const ANSWER: &str = "
import os, socket
server = socket.socket(fileno=0)
for _ in range(3):
    client = server.accept()[0]
    client.sendall(client.recv(100).upper())
    client.close()
print(sorted(os.listdir('/sys/class/net')))
";

#[test]
fn a_listening_socket_passed_in_is_served_from_inside() {
    let host = Host::enter();
    for profile in PROFILES {
        let port = host.path("port");
        let call = host.run(profile, &["/usr/bin/python3", "-c", ANSWER]).through([
            "/usr/bin/python3".as_ref(),
            "-c".as_ref(),
            LISTEN.as_ref(),
            port.as_os_str(),
        ]);
        let mut running = call.spawn();
        running.wait_for_file(&port);
        let port: u16 = fs::read_to_string(&port).unwrap().parse().unwrap();
        for word in ["one", "two", "three"] {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(word.as_bytes()).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, word.to_uppercase(), "{profile}");
        }
        assert_eq!(running.wait().assert_success().text(), "['lo']", "{profile}: its own network is empty");
        fs::remove_file(host.path("port")).unwrap();
    }
}

const SERVE: &str = "
import socket
server = socket.socket(socket.AF_UNIX)
server.bind('/shared/part'); server.listen()
import os; os.chmod('/shared/part', 0o777); os.rename('/shared/part', '/shared/socket')
client = server.accept()[0]
client.sendall(client.recv(100)[::-1])
";

#[test]
fn a_socket_in_a_volume_is_served_from_inside() {
    let host = Host::enter();
    for profile in PROFILES {
        let shared = open_directory(&host, "shared");
        let call = host.run(profile, &["/usr/bin/python3", "-c", SERVE]);
        let mut running = call.args(["--volume", &writable(&shared, "/shared")]).spawn();
        running.wait_for_file(&shared.join("socket"));
        let mut client = UnixStream::connect(shared.join("socket")).unwrap();
        client.write_all(b"stressed").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "desserts", "{profile}");
        running.wait().assert_success();
        fs::remove_dir_all(shared).unwrap();
    }
}

const ASK: &str = "
import socket
server = socket.socket(socket.AF_UNIX); server.connect('/shared/socket')
server.sendall(b'inside'); print(server.recv(100).decode())
";

#[test]
fn a_hosts_socket_in_a_volume_is_reached_from_inside() {
    let host = Host::enter();
    for profile in PROFILES {
        let shared = open_directory(&host, "shared");
        let server = UnixListener::bind(shared.join("socket")).unwrap();
        fs::set_permissions(shared.join("socket"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        let call = host.run(profile, &["/usr/bin/python3", "-c", ASK]);
        let running = call.args(["--volume", &writable(&shared, "/shared")]).spawn();
        let (mut client, _) = server.accept().unwrap();
        let mut word = [0; 6];
        client.read_exact(&mut word).unwrap();
        client.write_all(b"outside").unwrap();
        assert_eq!(
            (&word[..], running.wait().assert_success().text()),
            (&b"inside"[..], "outside"),
            "{profile}"
        );
        fs::remove_dir_all(shared).unwrap();
    }
}
