//! Real programs from Debian, doing real work inside.

use nucleus_tests::Host;

use crate::{DEV, PROFILES};

#[test]
fn python_works_on_files_threads_and_processes() {
    let host = Host::enter();
    let script = "
import concurrent.futures, hashlib, json, multiprocessing, os, sqlite3, zipfile
db = sqlite3.connect('/tmp/test.db'); db.execute('create table t (n)')
db.executemany('insert into t values (?)', [(n,) for n in range(1000)]); db.commit()
with zipfile.ZipFile('/tmp/a.zip', 'w') as z: z.writestr('x', 'y' * 10000)
with multiprocessing.Pool(3) as pool: squares = pool.map(abs, range(-50, 0))
with concurrent.futures.ThreadPoolExecutor(4) as pool: digests = list(pool.map(lambda n: hashlib.sha256(b'%d' % n).hexdigest(), range(50)))
print(json.dumps([db.execute('select sum(n) from t').fetchone()[0], sum(squares), len(set(digests))]))
";
    for profile in PROFILES {
        let call = host.run(profile, &["/usr/bin/python3", "-c", script]);
        let output = call.output().assert_success();
        assert_eq!(output.text(), "[499500, 1275, 50]", "{profile}");
    }
}

#[test]
fn redis_serves_and_saves() {
    let host = Host::enter();
    let script = "
mkdir -p /tmp/redis && cd /tmp/redis
redis-server --bind 127.0.0.1 --port 6379 --unixsocket /tmp/redis/socket --dir /tmp/redis --save '' > log 2>&1 &
n=0; until redis-cli -s socket ping > /dev/null 2>&1; do n=$((n+1)); [ $n -lt 200 ] || { cat log; exit 1; }; sleep 0.05; done
redis-cli -s socket set answer 42
redis-cli -h 127.0.0.1 incr answer
redis-cli -h 127.0.0.1 eval 'local s=0 for i=1,1000 do s=s+i end return s' 0
redis-cli save
test -s dump.rdb && echo saved
redis-cli shutdown nosave
wait
";
    for profile in PROFILES {
        let output = host.shell(profile, script).output().assert_code(0);
        assert_eq!(output.text(), "OK\n43\n500500\nOK\nsaved", "{profile}\n{output}");
    }
}

const NGINX: &str = "
user root root; worker_processes 2; pid /tmp/nginx.pid; error_log /tmp/error.log; daemon off;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen 127.0.0.1:8080; location / { return 200 'served by $hostname'; } location /usr { root /; } }
}
";

#[test]
fn nginx_answers_in_its_own_network() {
    let host = Host::enter();
    let directory = crate::open_directory(&host, "nginx");
    std::fs::write(directory.join("nginx.conf"), NGINX).unwrap();
    let script = "
/usr/sbin/nginx -e /tmp/start.log -c /conf/nginx.conf 2>/dev/null &
n=0; until curl -sf http://127.0.0.1:8080/ > /tmp/out; do n=$((n+1)); [ $n -lt 200 ] || { cat /tmp/*.log; exit 1; }; sleep 0.05; done
cat /tmp/out; echo
curl -s http://127.0.0.1:8080/usr/bin/env | cmp - /usr/bin/env && echo same
kill $!
wait
";
    for profile in PROFILES {
        let volume = format!("{}:/conf:ro", directory.display());
        let call = host.shell(profile, script).args(["--volume", &volume, "--hostname", "web"]);
        let output = call.output();
        assert_eq!(output.text(), "served by web\nsame", "{profile}\n{output}");
    }
}

#[test]
fn a_shell_script_with_pipes_and_archives_works() {
    let host = Host::enter();
    let script = "set -e; cd /tmp; mkdir a; seq 1 1000 > a/numbers; tar czf a.tgz a; rm -r a; tar xzf a.tgz
sort -rn a/numbers | head -n 3 | paste -sd,; find a -type f | xargs wc -l; mv a b; ln -s b c; cat c/numbers | md5sum | wc -c";
    for profile in PROFILES {
        let output = host.shell(profile, script).output().assert_success();
        assert_eq!(output.text(), "1000,999,998\n1000 a/numbers\n36", "{profile}");
    }
}

#[test]
fn a_program_of_another_interpreter_works() {
    let host = Host::enter();
    for profile in PROFILES {
        let output =
            host.run(profile, &["/usr/bin/perl", "-e", "print join ',', map { $_ ** 2 } 1..5"]).output();
        assert_eq!(output.assert_success().text(), "1,4,9,16,25");
    }
}

#[test]
fn many_containers_run_at_once() {
    let host = Host::enter();
    let running: Vec<_> = (0..12).map(|n| host.shell(DEV, &format!("sleep 0.3; exit {n}")).spawn()).collect();
    for (n, call) in running.into_iter().enumerate() {
        call.wait().assert_code(i32::try_from(n).unwrap());
    }
}
