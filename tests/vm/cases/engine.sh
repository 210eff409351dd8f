# Containers of engines: bundles, the place that the engine chose, and what it asks for while they run.

driver=()

# bundle SCRIPT [PYTHON]: a directory with a bundle; PYTHON may change `config`.
bundle() {
    local directory
    directory=$(mktemp -d /run/bundle.XXXX)
    mkdir -p "$directory"/rootfs/{bin,proc,dev,sys,tmp,nodes}
    cp /bin/busybox "$directory/rootfs/bin/"
    for name in sh cat echo sleep mknod head tail mkdir ls; do ln -s busybox "$directory/rootfs/bin/$name"; done
    SCRIPT=$1 python3 - "$directory/config.json" "${2:-}" << 'PYTHON'
import json, os, sys
held = ["CAP_MKNOD", "CAP_KILL"]
config = {
    "ociVersion": "1.2.0", "root": {"path": "rootfs"}, "hostname": "inside",
    "process": {"args": ["/bin/sh", "-c", os.environ["SCRIPT"]], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0},
                "capabilities": {"bounding": held, "permitted": held, "effective": held}},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
               {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
               {"destination": "/nodes", "type": "tmpfs", "source": "tmpfs"},
               {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}],
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "cgroup", "network")],
              "resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 32},
                            "devices": [{"allow": False, "access": "rwm"}]}},
}
exec(sys.argv[2])
json.dump(config, open(sys.argv[1], "w"))
PYTHON
    echo "$directory"
}

# begin BUNDLE: makes and starts a container of it: $id. Its standard output is in $directory/out.
begin() {
    id=engine-$RANDOM
    directory=$1
    nucleus "${driver[@]}" create --bundle "$directory" "$id" > "$directory/out" 2>&1 || { cat "$directory/out" && return 1; }
    nucleus start "$id"
}

# finish GROUP: wants nothing left of it.
finish() {
    nucleus delete --force "$id"
    rm -rf "$directory"
    [[ ! -e $1 ]] || { echo "left: $(find "$1" -type d)" && return 1; }
    equal "$(ls /run/nucleus 2> /dev/null | grep -x "$id" || true)" "" "directories left"
}

until_it() { # COMMAND…
    for _ in $(seq 300); do ! "$@" || return 0; sleep 0.1; done
    echo "never true: $*" && return 1
}

says() { [[ $(cat "$1" 2> /dev/null) == *"$2"* ]]; }

status() { nucleus state "$id" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])'; }

at() { echo "config['linux']['cgroupsPath'] = '$1'"; }

case_an_engines_group_is_where_it_wants_it_with_all_controllers() {
    local group=$cgroups/engine/pod/ctr
    begin "$(bundle 'sleep 600 & wait' "$(at /engine/pod/ctr)
r = config['linux']['resources']
r['cpu'] = {'shares': 512, 'quota': 20000, 'period': 50000}
r['unified'] = {'memory.high': '50331648'}")"
    equal "$(cat "$group/memory.max") $(cat "$group/pids.max") $(cat "$group/cpu.max")" "67108864 32 20000 50000" limits
    equal "$(cat "$group/memory.high")" 50331648 memory.high
    contains " $(cat "$group/cgroup.controllers") " " io "
    equal "$(sort "$group/cgroup.procs" | wc -l)" 2 processes
    finish "$group"
    rmdir "$cgroups/engine/pod" "$cgroups/engine"
}

case_pause_resume_kill() {
    local group=$cgroups/paused
    begin "$(bundle 'sleep 600 & wait' "$(at /paused)")"
    nucleus pause "$id"
    equal "$(status) $(cat "$group/cgroup.freeze")" "paused 1" state
    ends_with 1 nucleus pause "$id-not"
    nucleus resume "$id"
    equal "$(status)" running state
    nucleus pause "$id"
    nucleus kill --all "$id" KILL
    until_it eval '[[ $(status) == stopped ]]'
    finish "$group"
}

case_processes_below_are_the_containers_too() {
    local group=$cgroups/nested
    begin "$(bundle 'sleep 600 & wait' "$(at /nested)
config['linux']['namespaces'] = [n for n in config['linux']['namespaces'] if n['type'] != 'pid']")"
    mkdir "$group/below"
    head -n 1 "$group/cgroup.procs" > "$group/below/cgroup.procs"
    equal "$(nucleus ps --format json "$id" | tr , '\n' | grep -c '[0-9]')" 2 "processes of ps"
    nucleus kill --all "$id" KILL
    until_it eval '[[ -z $(cat "$group/below/cgroup.procs") ]]'
    finish "$group"
}

case_device_rules_are_a_program() {
    local script='mknod /nodes/mem c 1 1; mknod /nodes/zero c 1 5; mknod /nodes/fuse c 10 229
        head -c 1 /nodes/mem && echo mem; head -c 1 /nodes/zero > /dev/null && echo zero; head -c 0 /nodes/fuse && echo fuse; echo end'
    begin "$(bundle "$script" "$(at /devices)
config['linux']['resources']['devices'].append({'allow': True, 'type': 'c', 'major': 10, 'minor': 229, 'access': 'rw'})")"
    until_it says "$directory/out" end
    output=$(cat "$directory/out")
    contains "$output" "/nodes/mem: Operation not permitted"
    contains "$output" zero
    [[ $output != *"/nodes/fuse: Operation not permitted"* ]] || { echo "$output" && return 1; }
    finish "$cgroups/devices"
}

case_limits_change_while_it_runs() {
    local group=$cgroups/update
    begin "$(bundle 'sleep 600 & wait' "$(at /update)")"
    nucleus update --memory 128M --memory-swap 192M --cpu-quota 30000 --cpu-period 60000 --pids-limit 9 "$id"
    equal "$(cat "$group/memory.max") $(cat "$group/memory.swap.max")" "134217728 67108864" "memory and swap"
    equal "$(cat "$group/cpu.max") $(cat "$group/pids.max")" "30000 60000 9" "cpu.max and pids.max"
    echo '{"memory": {"limit": -1, "swap": -1}, "cpu": {"period": 50000, "cpus": "0"}, "pids": {"limit": -1}}' |
        nucleus update --resources - "$id"
    equal "$(cat "$group/memory.max") $(cat "$group/cpu.max") $(cat "$group/pids.max")" "max 30000 50000 max" limits
    equal "$(cat "$group/cpuset.cpus")" 0 cpuset.cpus
    ends_with 1 nucleus update --pids-limit 7 --cpuset-cpus 99 "$id"
    contains "$output" cpuset.cpus
    equal "$(cat "$group/pids.max")" max "pids.max after a refused update"
    finish "$group"
}

case_what_it_uses_is_counted_and_out_of_memory_is_told() {
    begin "$(bundle 'sleep 5; tail /dev/zero; echo hog; sleep 600' "$(at /counted)
config['linux']['resources']['memory'] = {'limit': 16 << 20, 'swap': 16 << 20}")"
    nucleus events --interval 600s "$id" > "$directory/events" &
    local watcher=$!
    until_it says "$directory/out" hog
    until_it grep -q '"type": *"oom"' "$directory/events"
    kill $watcher
    output=$(nucleus events --stats "$id" | python3 -c 'import json, sys
data = json.load(sys.stdin)["data"]
print(data["memory"]["usage"]["limit"], data["pids"]["limit"], data["cpu"]["usage"]["total"] > 0)')
    equal "$output" "16777216 32 True" statistics
    finish "$cgroups/counted"
}
