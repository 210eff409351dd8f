# Nothing stays, whatever happened.

case_a_killed_run_is_collected() {
    start_waiting configs/dev.yaml
    kill -KILL "$nucleus"
    wait "$nucleus" || true
    ends_with 0 nucleus gc
    nothing_left
}

# cgroup.kill reaches frozen processes; of a frozen group on v1 none would die.
case_a_frozen_container_is_collected() {
    start_waiting configs/dev.yaml
    echo 1 > "$group/cgroup.freeze"
    kill -KILL "$nucleus"
    wait "$nucleus" || true
    ends_with 0 nucleus gc
    nothing_left
}

# Without a pid namespace of its own only the group tells which processes are the container's. Those that outlive the
# first one keep its id as their session's: older kernels (6.1) then answer pidfd_open(2) with EINVAL.
case_a_container_in_a_joined_pid_namespace_ends_as_a_whole() {
    local shared
    unshare --pid --fork --kill-child sleep 600 &
    shared=$!
    for _ in $(seq 100); do [[ -z $(pgrep -P $shared) ]] || break; sleep 0.1; done
    start_waiting "$(profile "namespaces: {pid: {path: /proc/$(pgrep -P $shared)/ns/pid}}")"
    stop_waiting
    kill $shared
}
