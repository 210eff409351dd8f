# nucleus inside a delegated group, as in a container or a unit with Delegate=yes: its root is not the root of all.

# delegated SCRIPT: runs it with a fresh group as the root of what it sees, standing in that group itself.
delegated() {
    local top=$cgroups/delegated status=0
    mkdir "$top"
    for controller in memory pids; do echo "+$controller" > "$cgroups/cgroup.subtree_control"; done
    sh -c 'echo 0 > "$1/cgroup.procs" && exec unshare --cgroup --mount sh -c "umount -l /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup && $2"' sh "$top" "$1" || status=$?
    find "$top" -depth -type d -exec rmdir {} +
    return $status
}

case_processes_in_the_way_are_told_before_anything_is_made() {
    ends_with 125 delegated 'nucleus run -- /bin/true; status=$?; ls /sys/fs/cgroup/nucleus /run/nucleus; exit $status'
    contains "$output" "resources.memory"
    contains "$output" "processes stand in /sys/fs/cgroup itself"
    contains "$output" "move them into a group of their own below it"
    contains "$output" "'/sys/fs/cgroup/nucleus': No such file"
}

case_the_remedy_that_is_told_works() {
    ends_with 0 delegated 'mkdir /sys/fs/cgroup/init && echo 0 > /sys/fs/cgroup/init/cgroup.procs &&
        nucleus run --pids 16 -- /bin/cat /sys/fs/cgroup/pids.max'
    equal "$output" 16 pids.max
}

case_a_controller_that_is_not_handed_down_is_told() {
    ends_with 125 delegated 'mkdir /sys/fs/cgroup/init && echo 0 > /sys/fs/cgroup/init/cgroup.procs &&
        nucleus run --cpus 0.5 -- /bin/true'
    contains "$output" "resources.cpus"
    contains "$output" 'the controller `cpu` is not handed down to /sys/fs/cgroup'
}
