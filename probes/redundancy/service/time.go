package service

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/facebook/time/ntp/chrony"
	"github.com/facebook/time/ntp/control"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// errSilent says that no daemon listens.
var errSilent = errors.New("nobody listens")

const (
	patience   = 2 * time.Second // for a daemon on this host
	maxSources = 64
)

// dial opens a conversation with a daemon on this host.
func dial(ctx context.Context, host probes.Host, address string) (net.Conn, error) {
	conn, err := host.Dial(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience)
	if limit, limited := ctx.Deadline(); limited && limit.Before(deadline) {
		deadline = limit
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// silent turns the refusal of a port into errSilent.
func silent(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return errSilent
	}
	return err
}

// chronySources asks chronyd on its command port, as chronyc does for everybody.
func chronySources(ctx context.Context, host probes.Host) ([]group.Member, error) {
	conn, err := dial(ctx, host, "127.0.0.1:323")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := chrony.Client{Connection: conn}
	answer, err := client.Communicate(chrony.NewSourcesPacket())
	if err != nil {
		return nil, silent(err)
	}
	list, is := answer.(*chrony.ReplySources)
	if !is {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("an answer of another kind: %T", answer))
	}
	var members []group.Member
	for i := range min(list.NSources, maxSources) {
		answer, err := client.Communicate(chrony.NewSourceDataPacket(int32(i)))
		if err != nil {
			return nil, silent(err)
		}
		source, is := answer.(*chrony.ReplySourceData)
		if !is {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("an answer of another kind: %T", answer))
		}
		members = append(members, chronySource(source.SourceData))
	}
	return members, nil
}

// chronySource judges one source. An outlier is a good source that another is
// better than; a false ticker and one that jitters are no help.
func chronySource(s chrony.SourceData) group.Member {
	name := s.IPAddr.String()
	if s.Mode == chrony.SourceModeRef {
		name = "refclock " + strings.TrimRight(string(s.IPAddr.IP[:4]), "\x00")
	}
	usable := s.State == chrony.SourceStateSync || s.State == chrony.SourceStateCandidate || s.State == chrony.SourceStateOutlier
	return group.Member{
		ID: name, Name: name, Active: usable && s.Reachability != 0, Spare: s.IPAddr.ToNetIP() == nil && s.Mode != chrony.SourceModeRef,
		State: fmt.Sprintf("%s, reach %o", s.State, s.Reachability),
	}
}

// ntpSources asks ntpd by control messages, as "ntpq -p" does; RFC 9327.
func ntpSources(ctx context.Context, host probes.Host) ([]group.Member, error) {
	conn, err := dial(ctx, host, "127.0.0.1:123")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := &control.NTPClient{Sequence: 1, Connection: conn}
	answer, err := request(client, control.OpReadStatus, 0, "")
	if err != nil {
		return nil, err
	}
	var members []group.Member
	for data := answer; len(data) >= 4 && len(members) < maxSources; data = data[4:] {
		id := binary.BigEndian.Uint16(data)
		status := control.ReadPeerStatusWord(binary.BigEndian.Uint16(data[2:]))
		// A request whose length is no multiple of four is refused.
		answer, err := request(client, control.OpReadVariables, id, "srcadr,reach")
		if err != nil {
			return nil, err
		}
		name := variable(string(answer), "srcadr")
		if name == "" || name == "0.0.0.0" {
			continue // the template of a pool
		}
		usable := status.PeerSelection >= control.SelOutlier
		members = append(members, group.Member{
			ID: name, Name: name, Active: usable && status.PeerStatus.Reachable,
			State: fmt.Sprintf("%s, reach %s", control.PeerSelect[status.PeerSelection&7], variable(string(answer), "reach")),
		})
	}
	return members, nil
}

// request asks one thing. What the daemon refuses is an error.
func request(client *control.NTPClient, what uint8, association uint16, data string) ([]byte, error) {
	answer, err := client.CommunicateWithData(&control.NTPControlMsgHead{
		VnMode: control.MakeVnMode(2, control.Mode), REMOp: what, AssociationID: association,
	}, []byte(data))
	switch {
	case err != nil:
		return nil, silent(err)
	case answer.HasError():
		return nil, probes.Because(probes.Unsupported, fmt.Errorf("ntpd refuses to answer, with error %d", answer.Status>>8))
	}
	return answer.Data, nil
}

// variable returns one of the variables of a control message: "a=1, b="2"".
func variable(text, name string) string {
	for part := range strings.SplitSeq(text, ",") {
		if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); key == name {
			return strings.Trim(strings.TrimSpace(value), "\"\r\n\x00")
		}
	}
	return ""
}
