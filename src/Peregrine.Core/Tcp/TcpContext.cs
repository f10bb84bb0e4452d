// What the mechanisms of TCP share: tables, queues, counters, and the few steps that several of them take (mark ready, raise an event,
// arm the wheel, finish a connection). It decides nothing about segments.
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.AccurateEcn;
using Peregrine.Core.Tcp.Queues;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>The parts of one stack's TCP.</summary>
internal sealed class TcpContext
{
    internal required TcbTable Tcbs { get; init; }

    internal required AccurateEcnTable AccurateEcn { get; init; }

    /// <summary>What tools ask for, where it is kept.</summary>
    internal required TcpDetailsTable? Details { get; init; }

    internal required DemuxTable Demux { get; init; }

    internal required TimerWheel Wheel { get; init; }

    internal required ChunkPool Blocks { get; init; }

    internal required IpLayer Ip { get; init; }

    internal required SendQueue SendQueue { get; init; }

    internal required ReceiveQueue ReceiveQueue { get; init; }

    internal required OutOfOrderQueue OutOfOrder { get; init; }

    internal required LossRecovery Recovery { get; init; }

    internal required TcpSettingsTable Settings { get; init; }

    internal required TcpListeners Listeners { get; init; }

    internal required TimeWaitTable TimeWaits { get; init; }

    internal required SynBacklog SynBacklog { get; init; }

    internal required IsnGenerator Isn { get; set; }

    internal required StackRandom Generator { get; init; }

    internal required StackOptions Options { get; init; }

    private UdpEncapsulation? _encapsulation;

    internal UdpEncapsulation Encapsulation => _encapsulation ??= new UdpEncapsulation(Demux, Frames, new TcpDemuxKeys(Tcbs, TimeWaits, SynBacklog));

    /// <summary>Null while nobody uses PSP.</summary>
    internal Psp.PspLayer? Psp { get; set; }

    /// <summary>What tunnels take from each of a connection's packets.</summary>
    internal int OverheadOf(in Tcb c) => Encapsulation.OverheadOf(c) + (Psp?.OverheadOf(c) ?? 0);

    /// <summary>A datagram that holds a segment becomes it; false for one that is to be dropped, and has been counted.</summary>
    internal bool TryUnwrap(ref ReceivedPacket packet)
    {
        // The short way through IP leaves what it does not know as the packet before left it.
        (packet.EncapsulationPort, packet.PspSpi) = (0, 0);
        if (Ip.Errors.TunnelPort != 0) Encapsulation.Unwrap(ref packet);
        return Psp is null || Psp.TryOpen(ref packet);
    }

    /// <summary>A connection begins under a tuple, in datagrams to that UDP port or, with 0, as it is: nothing is left of what was there before.</summary>
    internal void Begin(ulong hash, ushort tunnelPort, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        Psp?.Forget(hash);
        Encapsulation.Note(hash, tunnelPort, local, localPort, remote, remotePort);
    }

    internal TcpReadyList Ready { get; } = new();

    internal TcpEventQueue Events { get; } = new();

    internal TcpBlockWaiters BlockWaiters { get; } = new();

    internal TcpCounters Counters;

    /// <summary>Null while nobody has keys.</summary>
    internal Authentication.TcpAuthenticator? Authenticator { get; set; }

    /// <summary>Null while no connection searches for its path's MTU.</summary>
    internal TcpMtuProbing? MtuProbing { get; set; }

    /// <summary>Null unless somebody takes the log of connections.</summary>
    internal Log.TcpEventLog? Log { get; set; }

    internal FramePool Frames => Ip.Frames;

    /// <summary>Puts the connection on the list of those that have something to say.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void MarkReady(TcbRef t)
    {
        if ((t.C.Flags & TcbFlags.Ready) == 0) Ready.Append(Tcbs, t);
    }

    /// <summary>The same of every connection.</summary>
    internal void MarkAllReady()
    {
        for (var slot = 0u; slot < Tcbs.UsedSlots; slot++)
        {
            var t = Tcbs.Get(slot);
            if (t.C.State != TcpState.Closed && (t.C.Flags & (TcbFlags.Finished | TcbFlags.FreePending)) == 0) MarkReady(t);
        }
    }

    /// <summary>Queues an event for the application; events of one connection merge.</summary>
    internal void Raise(TcbRef t, TcpEvents events)
    {
        ref var c = ref t.C;
        c.PendingEvents |= events;
        if ((c.Flags & (TcbFlags.EventQueued | TcbFlags.Orphan | TcbFlags.InAcceptQueue)) == 0) Events.Append(Tcbs, t);
    }

    /// <summary>Enters the connection's earliest deadline into the wheel. A later one than what is armed is moved lazily, when the wheel fires.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Arm(TcbRef t, Deadline at)
    {
        if (at.IsSet) Wheel.Arm(Tcbs.IndexOf(t), at);
    }

    /// <summary>The connection's settings.</summary>
    internal TcpSettings SettingsOf(TcbRef t) => Settings[t.K.Settings];

    /// <summary>Those of the listener that a half-open connection is for.</summary>
    internal TcpSettings SettingsOf(in SynRecord record) => Listeners.Get(record.Listener) is { } entry ? Settings[entry.Settings] : Options.Tcp;

    /// <summary>Whether sending data or a FIN is still to happen or to be acknowledged.</summary>
    internal static bool HasOutstanding(in Tcb c) => c.Snd.Una != c.Snd.Nxt;

    /// <summary>Our timestamp clock: milliseconds, with the connection's offset (RFC 7323 §5.4: between 1 ms and 1 s a tick).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint TimestampNow(in Tcb c, Instant now) => now.Milliseconds + c.TsOffset;

    /// <summary>The protocol has ended for this connection: nothing more is sent or taken, and the application is told.</summary>
    /// <param name="t">The connection.</param>
    /// <param name="error">Why; Success for an orderly end. Received bytes stay readable until the application lets the handle go.</param>
    internal void Finish(TcbRef t, SocketError error)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.Finished) != 0) return;
        if (c.State is not (TcpState.TimeWait or TcpState.Closed))
        {
            Demux.Remove(Demux.Hash(c.Local, c.LocalPort, c.Remote, c.RemotePort), DemuxKind.Tcb, Tcbs.IndexOf(t));
            CountEnd(c, error);
            TcpStates.Move(ref c.State, TcpState.Closed);
        }
        FastOpenServer.OnEnded(this, t, wasReset: false, default);
        c.Flags |= TcbFlags.Finished;
        c.Flags &= ~(TcbFlags.AckNow | TcbFlags.AckDelayed | TcbFlags.SynPending | TcbFlags.ProbeNow | TcbFlags.KeepaliveNow);
        t.K.Error = checked((ushort)error);
        Log?.Close(t, error);
        Authenticator?.OnFinished(t);
        MtuProbing?.Forget(t);
        ReleaseSending(t);
        if ((c.Flags & TcbFlags.Orphan) != 0) Free(t);
        else Raise(t, TcpEvents.Closed);
    }

    /// <summary>Moves the connection's identity into a TIME-WAIT record (RFC 9293 §3.3.2) and finishes the TCB in good order.</summary>
    internal void EnterTimeWait(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        TcpStates.Move(ref c.State, TcpState.TimeWait);
        Counters.TimeWaitEntered++;
        var hash = Demux.Hash(c.Local, c.LocalPort, c.Remote, c.RemotePort);
        var record = new TimeWaitRecord
        {
            Local = c.Local,
            Remote = c.Remote,
            LocalPort = c.LocalPort,
            RemotePort = c.RemotePort,
            SndNxt = c.Snd.Max,
            RcvNxt = c.Rcv.Nxt,
            RcvWnd = SettingsOf(t).WindowIsBuffer ? c.ReceiveBuffer : (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt),
            RcvScale = c.RcvScale,
            Marks = SegmentMarks.Of(SettingsOf(t)),
            Timestamps = (c.Flags & TcbFlags.Timestamps) != 0,
            TsRecent = c.TsRecent,
            TsRecentAge = Deadline.At(now),
            TsOffset = c.TsOffset,
            Hash = hash,
        };
        Demux.Remove(hash, DemuxKind.Tcb, Tcbs.IndexOf(t));
        if (TimeWaits.IsFull) Counters.TimeWaitEvicted++;
        TimeWaits.MakeRoom(Demux);
        if (TimeWaits.TryAdd(record, now, out var index))
        {
            Authenticator?.OnTimeWait(t, index);
            if (!Demux.TryAdd(hash, DemuxKind.TimeWait, index)) TimeWaits.Remove(index);
        }
        Finish(t, SocketError.Success);
    }

    /// <summary>The application has let go and the protocol is finished: the slot is free again.</summary>
    internal void Free(TcbRef t)
    {
        ref var c = ref t.C;
        ReceiveQueue.Release(ref c.ReceiveQueue);
        SendQueue.Release(ref c.SendQueue);
        Settings.Release(t.K.Settings);
        // A walk over the slots tells by the state which are connections, and of this one nothing may be asked any more.
        if (c.State == TcpState.TimeWait) TcpStates.Move(ref c.State, TcpState.Closed);
        Tcbs.Retire(Tcbs.IndexOf(t));
        c.Flags |= TcbFlags.FreePending;
        FreeIfUnlisted(t);
    }

    /// <summary>Frees the slot of a connection that was let go, once it is on no list: its links must stay good until then.</summary>
    internal void FreeIfUnlisted(TcbRef t)
    {
        const TcbFlags listed = TcbFlags.Ready | TcbFlags.EventQueued;
        if ((t.C.Flags & (TcbFlags.FreePending | listed)) == TcbFlags.FreePending) Tcbs.Free(Tcbs.IndexOf(t));
    }

    private void ReleaseSending(TcbRef t)
    {
        ref var c = ref t.C;
        Wheel.Cancel(Tcbs.IndexOf(t));
        if ((t.K.Recovery.Flags & RecoveryFlags.AccurateEcn) != 0) AccurateEcn.Remove(Tcbs.IndexOf(t));
        Recovery.Release(ref c, ref t.K);
        // A reserved block is the application's to write until it commits or lets go.
        if (c.SendQueue.ReservedLength == 0) SendQueue.Release(ref c.SendQueue);
        OutOfOrder.Release(ref t.K.OutOfOrder);
    }

    /// <summary>A SYN or SYN-ACK goes again.</summary>
    internal void CountSynAgain()
    {
        Counters.SegmentsRetransmitted++;
        Recovery.Counters.TCPSynRetrans++;
    }

    private void CountEnd(in Tcb c, SocketError error)
    {
        if (error == SocketError.Success) return;
        if ((c.Flags & TcbFlags.WasEstablished) == 0) Counters.FailedOpens++;
        else if (error == SocketError.TimedOut) Counters.ConnectionsTimedOut++;
        else if (error == SocketError.ConnectionReset) Counters.ConnectionsReset++;
        else if (error == SocketError.ConnectionAborted) Counters.ConnectionsAborted++;
    }
}
