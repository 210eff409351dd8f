# The groups of an engine's containers made by systemd.

[[ $MODE == systemd ]] || return 0

scoped() { # COMMAND…
    local driver=(--systemd-cgroup)
    "$@"
}

# In the order asked for, which is not that of systemctl.
shown() { # PROPERTY…
    local property values=()
    for property; do values+=("$(systemctl show "$unit" --property="$property" --value)"); done
    echo "${values[*]}"
}

case_a_scope_holds_the_container() {
    local unit=test-web.scope group=$cgroups/machine.slice/machine-pod.slice/test-web.scope
    scoped begin "$(bundle 'sleep 600 & wait' "$(at machine-pod.slice:test:web)
config['linux']['resources']['cpu'] = {'quota': 25000, 'period': 50000, 'cpus': '1'}")"
    equal "$(shown ActiveState Slice Delegate)" "active machine-pod.slice yes" "the scope"
    equal "$(shown MemoryMax TasksMax)" "67108864 32" "limits that systemd knows"
    contains "$(shown CPUQuotaPerSecUSec AllowedCPUs)" "500ms 1"
    equal "$(wc -l < "$group/cgroup.procs")" 2 processes
    systemctl daemon-reload
    equal "$(cat "$group/memory.max") $(cat "$group/cpu.max") $(cat "$group/pids.max")" "67108864 25000 50000 32" limits
    nucleus update --memory 128M --pids-limit 9 --cpu-quota 10000 --cpu-period 50000 "$id"
    equal "$(shown MemoryMax TasksMax)" "134217728 9" "limits that systemd knows after an update"
    systemctl set-property --runtime "$unit" CPUWeight=50 # it writes everything that it knows
    equal "$(cat "$group/memory.max") $(cat "$group/cpu.max") $(cat "$group/pids.max")" "134217728 10000 50000 9" "limits then"
    ends_with 1 nucleus update --pids-limit 7 --cpuset-cpus 99 "$id"
    equal "$(shown TasksMax) $(cat "$group/pids.max")" "9 9" "after a refused update"
    nucleus pause "$id"
    equal "$(status)" paused state
    finish "$group"
    equal "$(shown LoadState)" not-found "the scope afterwards"
}

case_a_scope_ends_with_its_container_and_can_be_made_again() {
    local unit=nucleus-again.scope group=$cgroups/system.slice/nucleus-again.scope
    for _ in 1 2; do
        scoped begin "$(bundle 'exit 3' "$(at system.slice:nucleus:again)")"
        until_it eval '[[ $(shown LoadState) == not-found ]]'
        finish "$group"
    done
    scoped begin "$(bundle 'sleep 600 & wait' "$(at system.slice:nucleus:again)")"
    ends_with 1 nucleus --systemd-cgroup create --bundle "$directory" other
    contains "$output" nucleus-again.scope
    finish "$group"
}

case_without_systemd_its_absence_is_told() {
    local made
    made=$(bundle true)
    ends_with 1 unshare --mount sh -c "mount -t tmpfs none /run/systemd && mount -t tmpfs none /run/dbus &&
        nucleus --systemd-cgroup create --bundle $made gone"
    contains "$output" "systemd's manager"
    contains "$output" "--systemd-cgroup"
    rm -rf "$made"
}
