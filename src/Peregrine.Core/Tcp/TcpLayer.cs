// The TCP of one stack as others see it: the calls of RFC 9293 §3.9.1 in the manner of sockets, and the doors through which segments,
// timers and output pass. It only composes; each mechanism has a file of its own. Belongs to its stack's thread.
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.Queues;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>The TCP of one stack.</summary>
public sealed class TcpLayer
{
    private readonly TcpContext _x;
    private readonly TcpSegmentWriter _writer;
    private readonly TcpReplies _replies;
    private readonly TcpTimers _timers;
    private readonly TcpOutput _output;
    private readonly TcpInput _input;
    private readonly TcpPassiveOpen _passive;
    private readonly TcpTimeWaitInput _timeWaits;
    private readonly TcpIcmpInput _icmp;
    private readonly TcpActiveOpen _active;
    private readonly TcpReceiver _receiver;
    private readonly FastOpenClient _fastOpenClient;
    private readonly FastOpenServer _fastOpenServer;

    internal TcpLayer(TcpContext context, in StackSecrets secrets)
    {
        _x = context;
        _writer = new TcpSegmentWriter(context);
        (Keys, Overview) = (new TcpKeyring(context), new TcpOverview(context));
        var keys = new TcpDemuxKeys(context.Tcbs, context.TimeWaits, context.SynBacklog);
        _replies = new TcpReplies(context, _writer);
        _fastOpenClient = new FastOpenClient(context, new FastOpenCache(context.Options.FastOpenCacheCountMax, new AddressHash(secrets.DemuxKey)));
        _fastOpenServer = new FastOpenServer(context, new FastOpenKeys(secrets.FastOpenKey));
        _timers = new TcpTimers(context, _replies, _fastOpenClient);
        _output = new TcpOutput(context, _writer, _fastOpenClient, _fastOpenServer);
        _input = new TcpInput(context, _replies, _fastOpenClient);
        _passive = new TcpPassiveOpen(context, _replies, _writer, _input, new SynCookies(secrets), _fastOpenServer);
        _timeWaits = new TcpTimeWaitInput(context, _replies, _passive);
        _icmp = new TcpIcmpInput(context, keys);
        _active = new TcpActiveOpen(context, keys, secrets, _fastOpenClient, _timeWaits);
        _receiver = new TcpReceiver(context, keys, _input, _passive, _timeWaits, _replies);
    }

    /// <summary>What happened so far.</summary>
    public ref TcpCounters Counters => ref _x.Counters;

    /// <summary>What loss recovery and congestion control did so far, by Linux's names.</summary>
    public ref TcpExtCounters ExtCounters => ref _x.Recovery.Counters;

    /// <summary>
    /// Takes the log of connections whose settings ask for one (<see cref="TcpSettings.EventLog"/>), and begins with those that open from now on; null for none.
    /// </summary>
    public Log.ITcpEventSink? EventSink
    {
        set => _x.Log = value is null ? null : new Log.TcpEventLog(_x, value);
    }

    /// <summary>Keys of listeners and connections.</summary>
    public TcpKeyring Keys { get; }

    /// <summary>What has no connection: listeners and TIME-WAIT records, for tools.</summary>
    public TcpOverview Overview { get; }

    /// <summary>Connections that have a TCB, finished ones that were not let go included.</summary>
    public int ConnectionCount => _x.Tcbs.Count;

    /// <summary>TIME-WAIT records.</summary>
    public int TimeWaitCount => _x.TimeWaits.Count;

    /// <summary>Half-open connections in the SYN backlog.</summary>
    public int SynBacklogCount => _x.SynBacklog.Count;

    /// <summary>Listeners.</summary>
    public int ListenerCount => _x.Listeners.Count;

    /// <summary>The pool of the connections' send and receive blocks, whose memory never moves.</summary>
    public ChunkPool Blocks => _x.Blocks;

    /// <summary>How few blocks are left. May be read from any thread.</summary>
    public MemoryPressure MemoryPressure => BlockPressure.LevelOf(_x.Blocks);

    /// <summary>Whether connections have something to send.</summary>
    public bool HasOutput => !_x.Ready.IsEmpty;

    /// <summary>Whether events wait to be taken by <see cref="TryNextEvent"/>.</summary>
    public bool HasEvents => !_x.Events.IsEmpty || _x.Listeners.HasEvents;

    /// <summary>When <see cref="FireTimers"/> has to be called next.</summary>
    internal Instant NextDeadline(Instant now) =>
        Instant.Min(_x.Wheel.NextDeadline(now), Instant.Min(_x.SynBacklog.NextDeadline(now), _x.TimeWaits.NextDeadline(now)));

    internal TcpReceiver Receiver => _receiver;

    /// <summary>Whether anything takes a short way. Tests turn it off to see that the long ones do the same.</summary>
    internal bool UsesShortWays
    {
        set => _receiver.UsesPrediction = _x.Recovery.LoneAck.IsOn = _output.UsesShortWay = _writer.UsesShortWay = value;
    }

    /// <summary>Who is told of listeners' ports, or null.</summary>
    internal IPortKeeper? Ports { get; set; }

    internal TcpContext Context => _x;

    /// <summary>Opens a listener (RFC 9293 §3.10.1, passive OPEN; MUST-41: as many as there are ports).</summary>
    /// <returns>Success, AddressAlreadyInUse, AddressNotAvailable, InvalidArgument or TooManyOpenSockets.</returns>
    public SocketError Listen(in TcpListenOptions options, out TcpListenerHandle listener)
    {
        listener = default;
        if (options.Backlog is < 1 or > 65_535) return SocketError.InvalidArgument;
        var local = options.Local;
        if (!local.Address.IsUnspecified && !_x.Ip.IsLocalAddress(local.Address)) return SocketError.AddressNotAvailable;
        var bound = options;
        if (local.Port == 0)
        {
            if (!_active.TryPickListenPort(local.Address, options.V6Only, out var port)) return SocketError.AddressNotAvailable;
            bound = options with { Local = new Endpoint(local.Address, port) };
        }
        if (!_x.Settings.TryAcquire(options.Settings ?? _x.Options.Tcp, out var settings)) return SocketError.NoBufferSpaceAvailable;
        var error = _x.Listeners.TryAdd(bound, settings, out listener);
        if (error == SocketError.Success && Ports?.TryOpenPort(udp: false, bound.Local.Port) == false)
        {
            _x.Listeners.Remove(listener.Index);
            (error, listener) = (SocketError.AddressAlreadyInUse, default);
        }
        if (error != SocketError.Success) _x.Settings.Release(settings);
        else if (options.Keys is not null) TcpKeyring.Enable(_x);
        return error;
    }

    /// <summary>A listener's address and port.</summary>
    public Endpoint LocalOf(TcpListenerHandle listener) => _x.Listeners.Get(listener)?.Local ?? default;

    /// <summary>Closes a listener. Connections that nobody accepted are reset.</summary>
    public void CloseListener(TcpListenerHandle listener, Instant now)
    {
        if (_x.Listeners.Get(listener) is not { } entry) return;
        _passive.RemoveAllOf(listener.Index, now);
        while (entry.TryDequeue(out var waiting))
        {
            if (!_x.Tcbs.IsLive(waiting)) continue;
            var t = _x.Tcbs.Get(waiting.Index);
            TcpClosing.Abort(_x, t, _replies, now);
            Close(waiting, now);
        }
        _x.Listeners.Remove(listener.Index);
        Ports?.ClosePort(udp: false, entry.Local.Port);
        _x.Settings.Release(entry.Settings);
    }

    /// <summary>Whether a connection waits to be accepted.</summary>
    public bool HasAcceptable(TcpListenerHandle listener) => _x.Listeners.Get(listener) is { AcceptCount: > 0 };

    /// <summary>Takes the next connection of a listener.</summary>
    public bool TryAccept(TcpListenerHandle listener, out TcpHandle connection)
    {
        connection = default;
        if (_x.Listeners.Get(listener) is not { } entry) return false;
        while (entry.TryDequeue(out connection))
        {
            var t = _x.Tcbs.Get(connection.Index);
            t.C.Flags &= ~TcbFlags.InAcceptQueue;
            if ((t.C.Flags & TcbFlags.Finished) != 0 && t.K.Error != (int)SocketError.Success && !_x.SettingsOf(t).AcceptsResetConnections)
            {
                // Reset before anybody took it: as if it had never been.
                t.C.Flags |= TcbFlags.Orphan;
                _x.Free(t);
                continue;
            }
            t.C.PendingEvents &= ~(TcpEvents.Connected | TcpEvents.Writable);
            if (t.C.PendingEvents != TcpEvents.None) _x.Events.Append(_x.Tcbs, t);
            return true;
        }
        return false;
    }

    /// <summary>Starts to connect (RFC 9293 §3.10.1, active OPEN). An event Connected, or Closed with the error, follows.</summary>
    /// <returns>Success, or why not even a SYN could be tried: AddressNotAvailable, AddressAlreadyInUse, NetworkUnreachable, InvalidArgument ….</returns>
    public SocketError Connect(in TcpConnectOptions options, Instant now, out TcpHandle connection) => _active.Connect(options, now, out connection);

    /// <summary>How many bytes a SYN to that server could carry now by TCP Fast Open; 0 where a cookie has to be asked for first or the setting is off.</summary>
    public int FastOpenRoom(in TcpConnectOptions options, Instant now) => _active.FastOpenRoom(options, now);

    /// <summary>Resets from a port without listener get TTL and traffic class of these settings, as a socket's that is only bound, and signatures; null for neither.</summary>
    public void MarkResetsFrom(ushort localPort, TcpSettings? settings, TcpKeySet? keys = null) => _replies.Mark(localPort, settings, keys);

    /// <summary>Forgets all Fast Open cookies of servers.</summary>
    public void ForgetFastOpenCookies() => _fastOpenClient.Cache.Clear();

    /// <summary>Changes the keys of the Fast Open cookies that we give out (RFC 7413 §4.1.2: from time to time).</summary>
    public void SetFastOpenKeys(FastOpenKeys keys) => _fastOpenServer.Keys = keys;

    /// <summary>Gives a listener keys of its own; null for the stack's. False when the handle is not live.</summary>
    public bool SetFastOpenKeys(TcpListenerHandle listener, FastOpenKeys? keys)
    {
        if (_x.Listeners.Get(listener) is not { } entry) return false;
        entry.FastOpenKeys = keys;
        return true;
    }

    /// <summary>Changes the settings that a listener's further connections get.</summary>
    /// <returns>Success, InvalidArgument when the handle is not live, or NoBufferSpaceAvailable when too many different records are in use.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    public SocketError SetSettings(TcpListenerHandle listener, TcpSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        settings.Validate();
        if (_x.Listeners.Get(listener) is not { } entry) return SocketError.InvalidArgument;
        if (!_x.Settings.TryAcquire(settings, out var number)) return SocketError.NoBufferSpaceAvailable;
        _x.Settings.Release(entry.Settings);
        entry.Settings = number;
        return SocketError.Success;
    }

    /// <summary>TCP in UDP datagrams, as FreeBSD's net.inet.tcp.udp_tunneling_port has it: our UDP port; 0, the default, for none. Who opens says the peer's.</summary>
    public int UdpTunnelPort
    {
        get => _x.Ip.Errors.TunnelPort;
        set => (_x.Ip.Errors.TunnelPort, _x.Ip.Errors.HasTunnels) = (_x.Encapsulation.LocalPort = checked((ushort)value), value != 0 || _x.Ip.Errors.HasTunnels);
    }

    /// <summary>What a tunnel is reckoned to take of the MTU, in bytes, 8 (the default: UDP's header) to 1,024, as net.inet.tcp.udp_tunneling_overhead.</summary>
    public int UdpTunnelOverheadBytes { get => _x.Encapsulation.Overhead; set => _x.Encapsulation.Overhead = value; }

    /// <summary>The UDP port of a connection's peer, where its segments go in datagrams; else 0.</summary>
    public int UdpEncapsulationPortOf(TcpHandle connection) => _x.Tcbs.IsLive(connection) ? _x.Encapsulation.PortOf(_x.Tcbs.Get(connection.Index).C) : 0;

    /// <summary>Queues bytes to be sent.</summary>
    /// <returns>Bytes taken; fewer than given when the buffer is full (Writable comes later); -1 when the connection cannot send.</returns>
    public int Send(TcpHandle connection, ReadOnlySpan<byte> data, Instant now) => Enqueue(connection, data, more: false, endsMessage: false);

    /// <summary>Queues bytes that, when all are taken, end a message (MSG_EOR): the next begin a segment; needs <see cref="TcpSettings.WriteRuns"/>; returns as <see cref="Send"/>.</summary>
    public int SendMessageEnd(TcpHandle connection, ReadOnlySpan<byte> data, Instant now) => Enqueue(connection, data, more: false, endsMessage: true);

    /// <summary>Queues bytes to be sent, of which the last, unless a whole segment, wait for more (MSG_MORE) or an acknowledgment.</summary>
    public int SendMore(TcpHandle connection, ReadOnlySpan<byte> data, Instant now) => Enqueue(connection, data, more: true, endsMessage: false);

    private int Enqueue(TcpHandle connection, ReadOnlySpan<byte> data, bool more, bool endsMessage)
    {
        if (!CanSend(connection)) return -1;
        var t = _x.Tcbs.Get(connection.Index);
        t.K.More = more ? MoreHints.Unpushed | MoreHints.Held : MoreHints.None;
        var taken = _x.SendQueue.Write(ref t.C.SendQueue, data, TcpSendRoom.Limit(_x, t, data.Length));
        Queued(t, taken, taken < data.Length, endsMessage && taken == data.Length);
        return taken;
    }

    /// <summary>Queues bytes of which the last are urgent (RFC 9293 §3.8.5; new applications should not use it, SHLD-13).</summary>
    /// <returns>As <see cref="Send"/>.</returns>
    public int SendUrgent(TcpHandle connection, ReadOnlySpan<byte> data, Instant now)
    {
        var taken = Send(connection, data, now);
        if (taken <= 0) return taken;
        TcpUrgent.Begin(_x.Tcbs.Get(connection.Index));
        return taken;
    }

    /// <summary>Room in the send queue's own memory, to be filled and then committed; empty when the buffer is full or the connection cannot send.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="sizeHint">Bytes wished for, at most a block.</param>
    public Span<byte> ReserveSend(TcpHandle connection, int sizeHint)
    {
        if (!CanSend(connection)) return default;
        var t = _x.Tcbs.Get(connection.Index);
        var room = _x.SendQueue.Reserve(ref t.C.SendQueue, sizeHint, (int)t.K.SendBuffer);
        if (room.IsEmpty) WaitForRoom(t);
        return room;
    }

    /// <summary>Queues the first <paramref name="count"/> bytes of the room that was reserved.</summary>
    public void CommitSend(TcpHandle connection, int count, Instant now)
    {
        if (count == 0 || !CanSend(connection)) return;
        var t = _x.Tcbs.Get(connection.Index);
        Queued(t, _x.SendQueue.Commit(ref t.C.SendQueue, count), false);
    }

    /// <summary>Copies received bytes out.</summary>
    /// <returns>Bytes; 0 when none wait (see <see cref="GetStatus"/> for why); -1 when the handle is not live.</returns>
    public int Receive(TcpHandle connection, Span<byte> destination, Instant now)
    {
        if (!_x.Tcbs.IsLive(connection)) return -1;
        var t = _x.Tcbs.Get(connection.Index);
        var count = _x.ReceiveQueue.Read(ref t.C.ReceiveQueue, destination);
        OnRead(t, count, now);
        return count;
    }

    /// <summary>The next contiguous run of received bytes, without taking them. The memory stays good until they are consumed.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="cursor">Where to go on; default at the start.</param>
    /// <param name="bytes">The run.</param>
    public bool TryPeek(TcpHandle connection, ref TcpReadCursor cursor, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        return _x.Tcbs.IsLive(connection) && _x.ReceiveQueue.TryPeek(ref _x.Tcbs.Get(connection.Index).C.ReceiveQueue, ref cursor, out bytes);
    }

    /// <summary>The same of the first run; empty when nothing has come.</summary>
    public ReadOnlySpan<byte> Peek(TcpHandle connection) =>
        _x.Tcbs.IsLive(connection) ? _x.ReceiveQueue.Front(_x.Tcbs.Get(connection.Index).C.ReceiveQueue) : default;

    /// <summary>Takes received bytes that were peeked at; returns how many are left.</summary>
    public int Consume(TcpHandle connection, int count, Instant now)
    {
        if (!_x.Tcbs.IsLive(connection)) return 0;
        var t = _x.Tcbs.Get(connection.Index);
        _x.ReceiveQueue.Consume(ref t.C.ReceiveQueue, count);
        OnRead(t, count, now);
        return (int)t.C.ReceiveQueue.Length;
    }

    /// <summary>Closes the sending side: a FIN follows what is queued (RFC 9293 §3.10.4).</summary>
    /// <returns>Success, or NotConnected.</returns>
    public SocketError Shutdown(TcpHandle connection, Instant now) =>
        _x.Tcbs.IsLive(connection) ? TcpClosing.Shutdown(_x, _x.Tcbs.Get(connection.Index)) : SocketError.NotConnected;

    /// <summary>Refuses whatever the peer may still send; data that come are answered by a reset. What has come is thrown away, or kept.</summary>
    public void ShutdownReceive(TcpHandle connection, bool keepsReceived = false)
    {
        if (!_x.Tcbs.IsLive(connection)) return;
        var t = _x.Tcbs.Get(connection.Index);
        t.C.Flags |= TcbFlags.ReceiveShutdown;
        if (!keepsReceived) _x.ReceiveQueue.Release(ref t.C.ReceiveQueue);
    }

    /// <summary>
    /// Lets the handle go, which is not live afterwards. What is queued is still sent and the connection ends orderly in the background;
    /// with received bytes unread it is reset (RFC 9293 §3.6.1).
    /// </summary>
    public void Close(TcpHandle connection, Instant now)
    {
        if (!_x.Tcbs.IsLive(connection)) return;
        var t = _x.Tcbs.Get(connection.Index);
        TcpClosing.Close(_x, t, _replies, now);
        // The slot goes on living until the protocol is finished, but nobody may name it any more.
        if (_x.Tcbs.IsLive(connection)) _x.Tcbs.Retire(connection.Index);
    }

    /// <summary>TCP_QUICKACK: from now on ACKs go at once, an owed one too; or may wait for answers to ride on. It wears off, as in Linux.</summary>
    public void SetQuickAck(TcpHandle connection, bool quick)
    {
        if (!_x.Tcbs.IsLive(connection)) return;
        var t = _x.Tcbs.Get(connection.Index);
        t.C.Acks.IsInteractive = !quick;
        if (!quick || (t.C.Flags & TcbFlags.AckDelayed) == 0 || !AdaptiveAcks.IsDueOnRequest(_x, t)) return;
        t.C.Flags |= TcbFlags.AckNow;
        _x.MarkReady(t);
    }

    /// <summary>Resets the connection (RFC 9293 §3.10.5). The handle stays live until <see cref="Close"/>.</summary>
    public void Abort(TcpHandle connection, Instant now)
    {
        if (_x.Tcbs.IsLive(connection)) TcpClosing.Abort(_x, _x.Tcbs.Get(connection.Index), _replies, now);
    }

    /// <summary>Asks for the event SendDrained when everything queued has been acknowledged; false when that is so already.</summary>
    public bool NotifyWhenDrained(TcpHandle connection)
    {
        if (!_x.Tcbs.IsLive(connection)) return false;
        var t = _x.Tcbs.Get(connection.Index);
        if ((t.C.Flags & TcbFlags.Finished) != 0 || t.C.SendQueue.Length == 0) return false;
        t.C.Flags |= TcbFlags.WantDrained;
        return true;
    }

    /// <summary>The connection's own address and port; default when the handle is not live.</summary>
    public Endpoint LocalOf(TcpHandle connection)
    {
        if (!_x.Tcbs.IsLive(connection)) return default;
        return _x.Tcbs.Get(connection.Index).C.LocalEndpoint;
    }

    /// <summary>The peer's address and port; default when the handle is not live.</summary>
    public Endpoint RemoteOf(TcpHandle connection)
    {
        if (!_x.Tcbs.IsLive(connection)) return default;
        return _x.Tcbs.Get(connection.Index).C.RemoteEndpoint;
    }

    /// <summary>How the connection stands.</summary>
    public TcpStatus GetStatus(TcpHandle connection) => _x.Tcbs.IsLive(connection) ? TcpReport.Status(_x, _x.Tcbs.Get(connection.Index)) : default;

    /// <summary>A snapshot of everything known of the connection (RFC 9293 §3.10.6, STATUS).</summary>
    public bool TryGetInfo(TcpHandle connection, Instant now, out TcpInfo info)
    {
        info = default;
        if (!_x.Tcbs.IsLive(connection)) return false;
        info = TcpReport.Info(_x, _x.Tcbs.Get(connection.Index), now);
        return true;
    }

    /// <summary>The handle of the connection in a slot, live or not: for walking over all connections, slot by slot.</summary>
    /// <param name="slot">0 to <see cref="SlotCount"/> - 1.</param>
    /// <param name="connection">The connection in it.</param>
    public bool TryGetHandle(int slot, out TcpHandle connection)
    {
        connection = default;
        if ((uint)slot >= _x.Tcbs.UsedSlots) return false;
        var t = _x.Tcbs.Get((uint)slot);
        if (t.C.State == TcpState.Closed) return false;
        connection = _x.Tcbs.HandleOf(t);
        return true;
    }

    /// <summary>One more than the highest slot that was ever used.</summary>
    public int SlotCount => (int)_x.Tcbs.UsedSlots;

    /// <summary>Paths are found again: every connection speaks up, because one that waits for acknowledgments would learn of it by a timeout only.</summary>
    internal void OnPathsChanged() => _x.MarkAllReady();

    /// <summary>The connection's settings; null when the handle is not live.</summary>
    public TcpSettings? GetSettings(TcpHandle connection) => _x.Tcbs.IsLive(connection) ? _x.SettingsOf(_x.Tcbs.Get(connection.Index)) : null;

    /// <summary>Changes the connection's settings from now on. Offers that were made in the SYN stay as they are, and so does the MSS, unless asked.</summary>
    /// <returns>Success, NotConnected, or NoBufferSpaceAvailable when too many different records are in use.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    public SocketError SetSettings(TcpHandle connection, TcpSettings settings, Instant now, bool takesMss = false)
    {
        ArgumentNullException.ThrowIfNull(settings);
        settings.Validate();
        if (!_x.Tcbs.IsLive(connection)) return SocketError.NotConnected;
        if (!_x.Settings.TryAcquire(settings, out var number)) return SocketError.NoBufferSpaceAvailable;
        var t = _x.Tcbs.Get(connection.Index);
        _x.Settings.Release(t.K.Settings);
        t.K.Settings = number;
        TcpReport.Apply(_x, t, settings, now);
        if (takesMss) TcpHandshake.RefreshMss(_x, t, hasFitted: true);
        return SocketError.Success;
    }

    /// <summary>Takes the next event.</summary>
    public bool TryNextEvent(out TcpEvent next)
    {
        next = default;
        if (_x.Listeners.HasEvents && _x.Listeners.TryTakeEvent(out var listener))
        {
            next = new TcpEvent(default, listener, TcpEvents.Acceptable, SocketError.Success);
            return true;
        }
        while (_x.Events.TryTake(_x.Tcbs, out var index, out var events))
        {
            var t = _x.Tcbs.Get(index);
            _x.FreeIfUnlisted(t);
            if ((t.C.Flags & (TcbFlags.Orphan | TcbFlags.FreePending)) != 0 || events == TcpEvents.None) continue;
            next = new TcpEvent(new TcpHandle(index, t.C.Generation), default, events, (SocketError)t.K.Error);
            return true;
        }
        return false;
    }

    internal void FireTimers(Instant now)
    {
        _timers.Fire(now);
        _passive.FireTimers(now);
        _timeWaits.FireTimers(now);
    }

    internal bool Poll(Instant now) => _output.Poll(now);
    internal void OnIcmpError(in IcmpError error, Instant now) => _icmp.OnError(error, now);

    private bool CanSend(TcpHandle connection) =>
        _x.Tcbs.IsLive(connection) && (_x.Tcbs.Get(connection.Index).C.Flags & (TcbFlags.Finished | TcbFlags.FinQueued)) == 0;

    private void Queued(TcbRef t, int count, bool isFull, bool endsMessage = false)
    {
        ref var c = ref t.C;
        // As Linux: a write that comes when less than a segment waited is what shows that the application limits.
        if (count > 0 && t.K.Does(Recovery.SenderMechanisms.PacketWindow) && c.Snd.QueueEnd - c.Snd.Nxt < c.Mss) _x.Recovery.OnAppLimited(ref c, ref t.K);
        TcpSendRoom.OnQueued(_x, t, (uint)count, endsMessage);
        if (isFull) WaitForRoom(t);
        if (count > 0 && (c.State is not (TcpState.SynSent or TcpState.SynReceived) || (t.K.FastOpen & FastOpenFlags.Pending) != 0)) _x.MarkReady(t);
    }

    // A full buffer empties by acknowledgments, which raise Writable. With nothing queued it is the block pool that is empty: try later.
    private void WaitForRoom(TcbRef t)
    {
        t.C.Flags |= TcbFlags.WantWritable;
        if (t.C.SendQueue.Length == 0) _x.BlockWaiters.Add(_x.Tcbs, t);
    }

    private void OnRead(TcbRef t, int count, Instant now)
    {
        ref var c = ref t.C;
        if (count <= 0 || (c.Flags & TcbFlags.Finished) != 0) return;
        if (!TcpWindow.OnRead(_x, t, count, now) || c.State is not (TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2)) return;
        c.Flags |= TcbFlags.AckNow;
        _x.MarkReady(t);
    }
}
