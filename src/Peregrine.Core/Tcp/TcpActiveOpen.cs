// Active opens: choosing address and port, making the TCB, and the SYN. RFC 9293 §3.10.1.
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpActiveOpen
{
    private readonly TcpContext _x;
    private readonly EphemeralPorts _ports;
    private readonly FastOpenClient _fastOpen;
    private readonly TcpTimeWaitInput _timeWaits;
    private TcpDemuxKeys _keys;

    internal TcpActiveOpen(TcpContext context, TcpDemuxKeys keys, in StackSecrets secrets, FastOpenClient fastOpen, TcpTimeWaitInput timeWaits)
    {
        (_x, _keys, _fastOpen, _timeWaits) = (context, keys, fastOpen, timeWaits);
        _ports = new EphemeralPorts(secrets, context.Generator, context.Options.EphemeralPortMin, context.Options.EphemeralPortMax);
    }

    internal SocketError Connect(in TcpConnectOptions options, Instant now, out TcpHandle connection)
    {
        connection = default;
        var remote = options.Remote;
        // RFC 9293 MUST-46: no connection to a broadcast or multicast address.
        if (remote.Port == 0 || remote.Address.IsUnspecified || _x.Ip.IsBroadcastOrMulticast(remote.Address)) return SocketError.AddressNotAvailable;
        var local = options.Local.Address;
        if (local.IsUnspecified) local = remote.Address.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any;
        else if (_x.Ip.IsBroadcastOrMulticast(local)) return SocketError.AddressNotAvailable;
        // RFC 9293 MUST-44, MUST-45: without a local address IP chooses it, and the connection keeps it.
        var path = default(FlowPath);
        var error = _x.Ip.Resolve(remote.Address, ref local, ref path, now);
        if (error != SocketError.Success) return error;
        var settings = options.Settings ?? _x.Options.Tcp;
        error = ChoosePort(local, remote, options.Local.Port, settings, now, out var port);
        if (error != SocketError.Success) return error;
        var keys = options.Keys?.For(new(local, port), remote);
        // Who gives keys wants no connection without.
        if (keys is null && options.Keys is not null) return SocketError.InvalidArgument;
        if (!_x.Tcbs.TryAllocate(out var index)) return SocketError.NoBufferSpaceAvailable;
        var hash = _x.Demux.Hash(local, port, remote.Address, remote.Port);
        if (!_x.Settings.TryAcquire(settings, out var number))
        {
            _x.Tcbs.Free(index);
            return SocketError.NoBufferSpaceAvailable;
        }
        // What waits under a chosen tuple gives way; a table that has lost an entry has room for another.
        TimeWaitRecord? old = _x.Demux.TryFind(hash, local, port, remote.Address, remote.Port, ref _keys, out _, out var waiting) ? _timeWaits.TakeOver(waiting) : null;
        if (!_x.Demux.TryAdd(hash, DemuxKind.Tcb, index))
        {
            _x.Settings.Release(number);
            _x.Tcbs.Free(index);
            return SocketError.NoBufferSpaceAvailable;
        }
        _x.Begin(hash, _x.Ip.Errors.TunnelPort == 0 ? (ushort)0 : (ushort)settings.UdpEncapsulationPort, local, port, remote.Address, remote.Port);
        var t = _x.Tcbs.Get(index);
        ref var c = ref t.C;
        t.K.Settings = number;
        (c.Local, c.LocalPort, c.Remote, c.RemotePort, c.Path) = (local, port, remote.Address, remote.Port, path);
        c.Flags = TcbFlags.ActiveOpen | TcbFlags.SynPending;
        TcpStates.Move(ref c.State, TcpState.SynSent);
        var iss = _x.Isn.Next(local, port, remote.Address, remote.Port, now);
        if (old is { } record) iss = TimeWaitJudge.IssAfter(record, iss);
        if (keys is not null) TcpKeyring.Enable(_x).OnConnect(t, keys, iss);
        TcpHandshake.Initialize(_x, t, iss, _x.Isn.TimestampOffset(local, port, remote.Address, remote.Port), settings, now);
        if ((c.Flags & TcbFlags.Sack) != 0 && LacksTimestamps(keys, settings)) c.Flags &= ~TcbFlags.Timestamps;
        // A signature leaves no room for a cookie.
        if (keys is null && _fastOpen.MayTry(remote.Address, settings, now)) t.K.FastOpen = FastOpenFlags.Client;
        t.K.LastReceived = Deadline.At(now);
        t.K.UserTimeout = RetryLimit.OfOpen(_x, settings, now);
        _x.Arm(t, t.K.UserTimeout);
        _x.Counters.ActiveOpens++;
        _x.MarkReady(t);
        connection = _x.Tcbs.HandleOf(t);
        return SocketError.Success;
    }

    /// <summary>What a SYN of ours offers; one that answers the peer's in a simultaneous open, what both share, or what ours offered before.</summary>
    internal static TcbFlags Offered(TcpContext x, TcbRef t, TcpSettings settings, bool isAnswer)
    {
        // Left out on the wire only: a SYN-ACK that has them is of a peer that heard an earlier SYN, and counts on them.
        if (!isAnswer) return settings.SynOptionsRetryCount != 0 && t.C.Backoff >= settings.SynOptionsRetryCount ? TcbFlags.None : t.C.Flags;
        if ((t.C.Flags & TcbFlags.ActiveOpen) == 0 || !settings.SynAckRepeatsSyn || settings.NoOptions) return t.C.Flags;
        var timestamps = settings.Timestamps && !(settings.SelectiveAcknowledgments && LacksTimestamps(x.Authenticator?.Of(t)?.Keys, settings));
        return (timestamps ? TcbFlags.Timestamps : 0) | (settings.SelectiveAcknowledgments ? TcbFlags.Sack : 0) | (settings.WindowScaling ? TcbFlags.WindowScaling : 0);
    }

    // RFC 2385 §4.3: an MD5 signature leaves no room for timestamps beside SACK blocks. FreeBSD, whose SYNs are packed, rather does without the blocks.
    private static bool LacksTimestamps(TcpPeerKeys? keys, TcpSettings settings) => keys is { IsMd5: true } && !settings.PackedSynOptions;

    /// <summary>The scale that goes with it: of a SYN that answers, the one that counts already where both have offered one.</summary>
    internal static byte OfferedScale(TcbRef t, TcpSettings settings, bool isAnswer) =>
        !isAnswer || (t.C.Flags & TcbFlags.WindowScaling) != 0 ? t.C.RcvScale : TcpWindow.ScaleFor(settings.ReceiveBufferBytesMax);

    /// <summary>
    /// Our SYN was answered by an ACK of something else, of a connection before perhaps: once the peer has our reset, a SYN may be welcome. Whoever guesses the ports
    /// can send such an ACK (RFC 5961 §1): so it has the SYN go again once, and is no loss: neither of the path's, by which a window of one segment would follow, nor
    /// of what went with the SYN (RFC 7413 §4.1.3.1).
    /// </summary>
    internal static void OnWrongAck(TcpContext x, TcbRef t, Instant now)
    {
        var settings = x.SettingsOf(t);
        if (!settings.WrongAckRepeatsSyn || t.C.Backoff != 0 || t.K.SynAgain != SynAgain.None || settings.SynRetryCount == 0) return;
        // One that has not gone as yet was not answered.
        if ((t.C.Flags & TcbFlags.SynPending) != 0) return;
        t.K.SynAgain = SynAgain.Due;
        t.K.Retransmission = Deadline.Min(t.K.Retransmission, Deadline.At(now + Duration.FromMilliseconds(settings.ReorderingMarginMs)));
        x.Arm(t, t.K.Retransmission);
    }

    internal int FastOpenRoom(in TcpConnectOptions options, Instant now)
    {
        var local = options.Remote.Address.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any;
        var path = default(FlowPath);
        if (_x.Ip.Resolve(options.Remote.Address, ref local, ref path, now) != SocketError.Success) return 0;
        return _fastOpen.RoomFor(options.Remote.Address, path, options.Settings ?? _x.Options.Tcp, now);
    }

    /// <summary>A free port for a listener that asked for any.</summary>
    internal bool TryPickListenPort(in IpAddress local, bool v6Only, out ushort port)
    {
        // Random tries: a listener's port is not a secret, and the range holds thousands of times more ports than listeners.
        for (var i = 0; i < 4 * EphemeralPorts.ProbesInOrder; i++)
        {
            port = (ushort)(_ports.Min + _x.Generator.Next((uint)(_ports.Max - _ports.Min + 1)));
            if (!_x.Listeners.Conflicts(new Endpoint(local, port), v6Only)) return true;
        }
        port = 0;
        return false;
    }

    // RFC 9293 MUST-43 is the optional local address; RFC 6056 §3.3 the port.
    private SocketError ChoosePort(in IpAddress local, in Endpoint remote, ushort wanted, TcpSettings settings, Instant now, out ushort port)
    {
        var use = new TupleInUse(this, local, remote, settings, now);
        port = wanted;
        if (wanted != 0) return use.IsInUse(wanted) ? SocketError.AddressAlreadyInUse : SocketError.Success;
        return _ports.TryPick(local, remote.Address, remote.Port, ref use, out port) ? SocketError.Success : SocketError.AddressNotAvailable;
    }

    private readonly struct TupleInUse(TcpActiveOpen open, IpAddress local, Endpoint remote, TcpSettings settings, Instant now) : IPortInUse
    {
        public bool IsInUse(ushort localPort)
        {
            var x = open._x;
            // A port that a listener has would make the answer ambiguous for people and tools, though not for us.
            if (x.Listeners.IsListening(local, localPort)) return true;
            var hash = x.Demux.Hash(local, localPort, remote.Address, remote.Port);
            return x.Demux.TryFind(hash, local, localPort, remote.Address, remote.Port, ref open._keys, out var kind, out var index)
                && !open._timeWaits.MayReopen(kind, index, settings, now);
        }
    }
}
