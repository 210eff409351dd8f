# Beside systemd, which thinks that all groups are its own.

[[ $MODE == systemd ]] || return 0 # of this file: its cases are not there without

# systemd writes what its units ask for into the files again; a container's limits must outlive that.
case_limits_outlive_a_reload_of_systemd() {
    start_waiting "$(profile 'resources: {memory: 64M, cpus: 0.5, cpuset: "0"}')"
    systemctl daemon-reload
    systemd-run --wait --quiet -p MemoryMax=1G true # makes and removes groups beside ours
    equal "$(cat "$group/memory.max")" 67108864 memory.max
    equal "$(cat "$group/cpu.max")" "50000 100000" cpu.max
    equal "$(cat "$group/cpuset.cpus")" 0 cpuset.cpus
    stop_waiting
}

case_a_unit_can_run_containers() {
    ends_with 137 systemd-run --wait --quiet --pipe -p Delegate=yes nucleus run --memory 32M --swap 0 -- /usr/bin/tail /dev/zero
    ends_with 0 systemd-run --wait --quiet --pipe nucleus run -- /bin/echo hello
    equal "$output" hello output
}
