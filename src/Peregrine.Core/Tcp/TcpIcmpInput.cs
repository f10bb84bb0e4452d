// ICMP errors about TCP segments, believed only when the quoted sequence number is in flight (RFC 5927 §4.1) and then by RFC 9293 §3.9.2.2:
// soft errors are noted, a hard one ends an attempt to connect but never a synchronised connection.
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal sealed class TcpIcmpInput(TcpContext context, TcpDemuxKeys keys)
{
    private readonly TcpContext _x = context;
    private TcpDemuxKeys _keys = keys;

    // RFC 9293 MUST-54: errors are acted upon.
    internal void OnError(in IcmpError error, Instant now)
    {
        var local = error.Local.Address;
        var remote = error.Remote.Address;
        var hash = _x.Demux.Hash(local, error.Local.Port, remote, error.Remote.Port);
        if (!_x.Demux.TryFind(hash, local, error.Local.Port, remote, error.Remote.Port, ref _keys, out var kind, out var index)
            || kind != DemuxKind.Tcb || error.EncapsulationPort != _x.Encapsulation.PortOf(hash) || !IsBelieved(_x.Tcbs.Get(index), error))
        {
            _x.Counters.IcmpErrorsIgnored++;
            return;
        }
        _x.Counters.IcmpErrorsAccepted++;
        var t = _x.Tcbs.Get(index);
        switch (error.Kind)
        {
            case IcmpErrorKind.PacketTooBig:
                OnPacketTooBig(t, error, now);
                break;
            // RFC 9293 SHLD-26 for an attempt only: RFC 5927 §5.2 treats hard errors of synchronised connections as soft.
            case var what when t.C.State == TcpState.SynSent && Ends(what, _x.SettingsOf(t).ConnectErrors):
                _x.Finish(t, TcpErrors.OfConnect(what, _x.SettingsOf(t).ConnectErrors));
                break;
            // One that a fast open made is an attempt too, until its handshake is done or the application has it.
            case var what when IsUnseen(t) && Ends(what, _x.SettingsOf(t).ConnectErrors):
                FastOpenServer.OnEnded(_x, t, wasReset: false, now);
                _x.Finish(t, TcpErrors.OfConnect(what, _x.SettingsOf(t).ConnectErrors));
                break;
            default:
                // RFC 9293 SHLD-25, MUST-56, RFC 5925 §7.8: never a reason to abort; told if the connection fails for want of answers.
                TcpErrors.Note(_x, t, error.Kind);
                break;
        }
    }

    private static bool IsUnseen(TcbRef t) =>
        t.C.State == TcpState.SynReceived && (t.K.FastOpen & FastOpenFlags.Pending) != 0 && (t.C.Flags & TcbFlags.InAcceptQueue) != 0;

    private static bool Ends(IcmpErrorKind kind, TcpConnectErrors errors) => kind switch
    {
        IcmpErrorKind.PortUnreachable or IcmpErrorKind.ProtocolUnreachable or IcmpErrorKind.AdminProhibited or IcmpErrorKind.NetProhibited => errors != TcpConnectErrors.None,
        IcmpErrorKind.TimeExceeded => errors >= TcpConnectErrors.HardAndExpired,
        _ => errors == TcpConnectErrors.All,
    };

    // RFC 5927 §4.1: the quoted sequence number must be of data sent and not acknowledged. Linux takes that of an ACK too, which has the next.
    private bool IsBelieved(TcbRef t, in IcmpError error)
    {
        if (error.IsLocal) return true;
        ref var c = ref t.C;
        if (error.HasSeq && error.Seq == c.Snd.Max && c.State >= TcpState.Established && _x.SettingsOf(t).PacketSender) return true;
        // A fast open's SYN-ACK counts as acknowledged, so that data may follow, and is not.
        return error.HasSeq && error.Seq.IsAfterOrEqual(IsUnseen(t) ? c.Snd.Iss : c.Snd.Una) && error.Seq.IsBefore(c.Snd.Max);
    }

    /// <summary>The datagram of a segment of the IPv4 default MSS (RFC 9293 §3.7.1).</summary>
    private const int MtuOfDefaultMss = 576;

    private void OnPacketTooBig(TcbRef t, in IcmpError error, Instant now)
    {
        ref var c = ref t.C;
        if (c.State == TcpState.SynSent && c.Local.IsIPv4 && _x.SettingsOf(t).SynKeepsPath && error.Mtu >= MtuOfDefaultMss) return;
        var before = c.Path.Mtu;
        _x.Ip.OnPacketTooBigConfirmed(c.Remote, error.Mtu, now);
        _x.MtuProbing?.OnPacketTooBig(t, error.Mtu);
        // The path's generation has moved on; the new MSS is taken and what was too large goes again when the connection next speaks.
        var local = c.Local;
        if (_x.Ip.Resolve(c.Remote, ref local, ref c.Path, now) != SocketError.Success) return;
        TcpHandshake.RefreshMss(_x, t);
        // BSD: what counts has the SYN go again at once; what is no news does not, or a router could have one for each of its reports.
        if (c.State == TcpState.SynSent && c.Local.IsIPv4 && c.Path.Mtu < before && _x.SettingsOf(t).SynKeepsPath) c.Flags |= TcbFlags.SynPending;
        if (c.State == TcpState.SynSent && (t.K.FastOpen & FastOpenFlags.Used) != 0)
        {
            // RFC 7413 §4.1.3.1: a SYN with data was too large for the path: again, without.
            t.K.FastOpen &= ~FastOpenFlags.Client;
            c.Flags |= TcbFlags.SynPending;
        }
        _x.MarkReady(t);
    }
}
