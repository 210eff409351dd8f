# How the container comes into its group, and what it sees of it.

# A process that is moved later leaves memory charged to where it was, and can fork outside before.
case_the_container_is_born_in_its_group() {
    strace -f -o /tmp/calls -e trace=clone3,openat,write -s 64 nucleus run -- /bin/true
    grep -q 'clone3(.*CLONE_INTO_CGROUP' /tmp/calls || { grep clone3 /tmp/calls && return 1; }
    ! grep 'cgroup\.procs\|cgroup\.threads' /tmp/calls
}

case_the_container_sees_its_own_group_only() {
    local script='read place < /proc/self/cgroup; echo "$place"; while read pid; do echo "$pid"; done < /sys/fs/cgroup/cgroup.procs'
    ends_with 0 nucleus run -- /bin/sh -c "$script"
    equal "$output" $'0::/\n1' "its place and its processes"
    ends_with 0 nucleus run -- /bin/sh -c 'grep " /sys/fs/cgroup " /proc/self/mountinfo'
    contains "$output" " / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 "
}

case_the_container_cannot_lift_its_limits() {
    local script='for f in memory.max pids.max cgroup.procs cgroup.kill; do echo max > /sys/fs/cgroup/$f; done; mkdir /sys/fs/cgroup/x'
    ends_with 1 nucleus --profile configs/dev.yaml run -- /bin/sh -c "$script"
    equal "$(grep -c 'Read-only file system' <<< "$output")" 5 "refusals in: $output"
}

case_profiles_run() {
    ends_with 0 nucleus run -- /bin/echo hello
    equal "$output" hello "built-in profile"
    ends_with 0 nucleus --profile configs/dev.yaml run -- /bin/sh -c 'id -u; hostname'
    equal "$output" $'0\ndev' dev.yaml
    ends_with 0 nucleus --profile configs/prod.yaml run
    equal "$output" "nucleus: 10001:10001 on prod" prod.yaml
}

case_what_is_enforced_is_told() {
    ends_with 0 nucleus backend list
    contains "$output" "cgroup v2 memory.max"
    contains "$output" "cgroup v2 memory.swap.max"
    contains "$output" "cgroup v2 io.max"
    ! grep -E '^[a-z-]+ +no ' <<< "$output"
    ends_with 0 nucleus --profile configs/prod.yaml explain
    contains "$output" "cgroup v2 pids.max"
}
