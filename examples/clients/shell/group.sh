#!/usr/bin/env bash
# A member of a group: shares the partitions of a topic, prints their records, and acknowledges them.
# Needs grpcurl, which learns the messages from the node, and jq.
#
#   group.sh HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]
set -u
IFS=, read -ra addresses <<<"$1"
group=$2 topic=$3 instance=${4:-}
declare -A positions=() # of the partitions that are ours: the next offset
member='' epoch=0 incarnation=0 # who we are, to go on with when a stream breaks
stopping='' busy=''

# Closing our half in good order commits what is acknowledged, and leaves the group.
leave() { exec {requests}>&-; }
trap 'stopping=yes; [[ $busy ]] || leave 2>/dev/null' INT TERM

say() { echo "$1" >&"$requests"; }
position() { echo "{\"topic\":\"$topic\",\"partition\":$1,\"offset\":${positions[$1]}}"; }

start() {
  local resume='' owned=()
  if [[ $member ]]; then
    incarnation=$((incarnation + 1))
    for partition in "${!positions[@]}"; do owned+=("$(position "$partition")"); done
    resume=",\"resume\":{\"memberId\":\"$member\",\"memberEpoch\":$epoch,\"incarnation\":$incarnation,\"owned\":[$(IFS=,; echo "${owned[*]}")]}"
  fi
  say "{\"start\":{\"groupId\":\"$group\",\"topics\":[\"$topic\"],\"instanceId\":\"$instance\",\"clientId\":\"shell\",\"autoOffsetReset\":\"AUTO_OFFSET_RESET_EARLIEST\",\"autoCommitIntervalMs\":1000$resume}}"
}

# What a node says, as lines of words. Fields that are 0 are left out of JSON, and 64 bits are text there.
words='def partitions: [.partitions[]?.partition // 0 | tostring] | join(" ");
  if .joined then .joined | "joined \(.memberId) \(.memberEpoch) \(.incarnation)"
  elif .assigned then .assigned | "assigned \(.memberEpoch) \([.positions[]? | "\(.partition // 0)@\(.offset // 0)"] | join(" "))"
  elif .revoked then "revoked \(.revoked | partitions)"
  elif .lost then "lost \(.lost | partitions)"
  elif .records then .records | (.partition // 0) as $partition
    | (.records[]? | "record \($partition) \(.offset // 0) \(.value // "" | @base64d)"), "done \($partition) \(.nextOffset // 0)"
  elif .partitionError then "problem \(.partitionError.error.message)" else empty end'

# One stream, until we stop or it breaks; its end is grpcurl's: 64 and the status.
subscribe() {
  local address=$1 pipes
  pipes=$(mktemp -d) && mkfifo "$pipes/in" "$pipes/out"
  (trap '' INT; exec grpcurl -plaintext -keepalive-time 10 -d @ "$address" barnabas.v1.GroupService/Subscribe) <"$pipes/in" >"$pipes/out" &
  local grpcurl=$!
  exec {answers}< <(jq --unbuffered -r "$words" <"$pipes/out")
  exec {requests}>"$pipes/in" # last, or jq would hold it open too
  start
  while read -r -t 1 what one two rest <&"$answers" || { (($? > 128)) && what=silence; }; do
    [[ $stopping ]] && continue # what comes now goes to another member
    busy=yes
    handle "$what" "$one" "$two" "$rest" "$address"
    busy=''
    [[ $stopping ]] && leave
  done
  leave 2>/dev/null
  exec {answers}<&-
  rm -r "$pipes"
  wait "$grpcurl"
}

handle() {
  local what=$1 one=$2 two=$3 rest=$4 partition
  case $what in
    joined) member=$one epoch=$two incarnation=$rest; echo "joined $member $5" ;;
    assigned)
      epoch=$one
      for assigned in $two $rest; do positions[${assigned%@*}]=${assigned#*@}; done
      echo "assigned${two:+ $two}${rest:+ $rest}" ;;
    revoked | lost) # what we acknowledged is committed; others go on from there
      for partition in $one $two $rest; do unset "positions[$partition]"; done
      echo "$what${one:+ $one}${two:+ $two}${rest:+ $rest}" ;;
    record) echo "$one $two $rest" ;;
    done) positions[$one]=$two; say "{\"ack\":{\"positions\":[$(position "$one")]}}" ;;
    problem) echo "$one $two $rest" >&2 ;;
    silence) say '{"alive":{}}' ;; # grpcurl looks at a stream that broke when there is something to say
  esac
}

for ((next = 0; ; next++)); do
  address=${addresses[next % ${#addresses[@]}]}
  subscribe "$address"
  ended=$?
  [[ $stopping ]] && exit 0
  case $((ended - 64)) in 3 | 7 | 9 | 12 | 16) echo "refused" >&2; exit 1 ;; esac
  sleep 0.1
done
