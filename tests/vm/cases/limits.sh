# Limits: what stands in the files, and what the kernel does with it.

case_each_limit_stands_in_its_file() {
    local disk
    disk=$(cat /sys/block/vda/dev)
    start_waiting "$(profile 'resources:' '  {memory: 96M, swap: 32M, pids: 77, cpus: 0.5, cpuShares: 512, cpuset: "1", memoryNodes: "0",' \
        "   io: {weight: 200, readBps: {/dev/vda: 1M}, writeIops: {\"$disk\": 400}}}")"
    equal "$(cat "$group/memory.max")" 100663296 memory.max
    equal "$(cat "$group/memory.swap.max")" 33554432 memory.swap.max
    equal "$(cat "$group/pids.max")" 77 pids.max
    equal "$(cat "$group/cpu.max")" "50000 100000" cpu.max
    equal "$(cat "$group/cpu.weight")" 59 "cpu.weight, as runc converts 512 shares"
    equal "$(cat "$group/cpuset.cpus.effective")" 1 cpuset.cpus
    equal "$(cat "$group/cpuset.mems")" 0 cpuset.mems
    equal "$(cat "$group/io.max")" "$disk rbps=1048576 wbps=max riops=max wiops=400" io.max
    equal "$(cat "$group"/io.bfq.weight "$group"/io.weight 2> /dev/null | head -n 1)" "default 1920" "io.weight, of 200 from 1000"
    stop_waiting
}

# Each controller costs every group below, so those that no limit needs stay off.
case_only_the_needed_controllers_are_handed_down() {
    local fresh=$cgroups/nucleus
    [[ ! -d $fresh ]] || rmdir "$fresh"
    start_waiting configs/dev.yaml # memory and pids
    equal "$(cat "$group/cgroup.controllers")" "memory pids" "controllers of the container"
    equal "$(cat "$fresh/cgroup.subtree_control")" "memory pids" "controllers of its parent"
    stop_waiting
}

case_a_memory_hog_is_killed() {
    ends_with 137 nucleus run --memory 32M --swap 0 -- /usr/bin/tail /dev/zero
    equal "$output" "" "nucleus is silent"
    ends_with 137 nucleus --profile configs/prod.yaml run --memory 32M -- /usr/bin/tail /dev/zero
}

case_only_the_container_is_killed_when_memory_ends() {
    local before
    before=$(grep -h '^oom_kill ' /proc/vmstat)
    ends_with 137 nucleus run --memory 16M --swap 0 -- /usr/bin/tail /dev/zero
    equal "$(awk '/^oom_kill /{print $2}' /proc/vmstat)" "$((${before#* } + 1))" "kills by the kernel"
}

case_a_fork_storm_stops() {
    local storm='i=0; while [ $i -lt 40 ]; do sleep 60 & i=$((i+1)); done; echo all'
    ends_with 2 nucleus run --pids 16 -- /bin/sh -c "$storm"
    contains "$output" "Cannot fork"
    ends_with 0 nucleus run --pids 64 -- /bin/sh -c "$storm"
    equal "$output" all output
}

case_processor_time_is_shared_out() {
    ends_with 0 nucleus run --cpus 0.2 -- /bin/sh -c \
        'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu.stat'
    local throttled
    throttled=$(awk '/^nr_throttled/{print $2}' <<< "$output")
    [[ $throttled -gt 0 ]] || { echo "never throttled: $output" && return 1; }
}
