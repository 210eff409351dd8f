# What the cases say about what they see. A case ends at its first word that is not true.

equal() { # ACTUAL EXPECTED WHAT
    [[ $1 == "$2" ]] || { echo "$3: expected \`$2\`, found \`$1\`" && return 1; }
}

contains() { # TEXT PART
    [[ $1 == *"$2"* ]] || { printf 'expected `%s` in:\n%s\n' "$2" "$1" && return 1; }
}

# ends_with STATUS COMMAND…: its output is in $output afterwards.
ends_with() {
    local expected=$1 status=0
    output=$("${@:2}" 2>&1) || status=$?
    [[ $status -eq $expected ]] || { printf '%s\nended with %s instead of %s:\n%s\n' "${*:2}" "$status" "$expected" "$output" && return 1; }
}

# profile YAML…: a file with a profile that extends dev.yaml.
profile() {
    local file
    file=$(mktemp --suffix=.yaml)
    printf '%s\n' 'apiVersion: nucleus/v1' "extends: $PWD/configs/dev.yaml" "$@" > "$file"
    echo "$file"
}

# Starts a container that waits, in the background: $id, its group $group, and $nucleus, the process that made it.
start_waiting() { # PROFILE [OPTION…]
    id=vm-$RANDOM
    nucleus --profile "$1" run --id "$id" --no-tty "${@:2}" -- /bin/sh -c 'trap exit TERM; sleep 600 & wait' < /dev/null &
    nucleus=$!
    # Two processes: the workload has begun.
    for _ in $(seq 600); do
        group=$(compgen -G "$cgroups/nucleus/$id*" || true)
        [[ $(cat "$group/cgroup.procs" 2> /dev/null | wc -l) -lt 2 ]] || return 0
        kill -0 "$nucleus" || break
        sleep 0.1
    done
    echo "the container did not start" && return 1
}

# Ends what start_waiting started, and wants nothing left of it.
stop_waiting() {
    kill -TERM "$nucleus"
    wait "$nucleus" || true
    nothing_left
}

nothing_left() {
    local groups
    groups=$(find "$cgroups/nucleus" -mindepth 1 -type d)
    equal "$groups" "" "groups left"
    equal "$(ls /run/nucleus 2> /dev/null | grep -x "$id" || true)" "" "directories left"
}
