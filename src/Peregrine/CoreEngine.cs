// One core's loop on a thread of its own: receive, read the clock once, input, commands, timers, deliver, output; and sleep when there is
// nothing to do. It decides when things happen and nothing about protocols.
using Microsoft.Extensions.Logging;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Sockets;

namespace Peregrine;

internal sealed class CoreEngine : SocketEngine
{
    // While the link takes no more frames there is nothing to wait for but time.
    private static readonly Duration s_transmitRetry = Duration.FromMicroseconds(200);

    private static readonly Duration s_finWait = Duration.FromMilliseconds(500);

    // RFC 7217 §5 wants a secret, so that nobody can tell the machine by its address. Here the identifier only has to differ from the one that the
    // kernel makes of the same Ethernet address, and to be the same at every start, on every machine that gets this card.
    private static readonly UInt128 s_identifierKey = new(0x7065_7265_6772_696E, 0x6520_7266_6337_3231);

    private readonly PeregrineOptions _options;
    private readonly ILink _link;
    private readonly ILinkQueue _queue;
    private readonly ICorePlatform _platform;
    private readonly IWaiter _waiter;
    private readonly DeferredWake _wakeLater;
    private readonly ILogger _logger;
    private readonly CoreClock _clock;
    private readonly Mailbox _mailbox;
    private readonly Frame[] _burst;
    private readonly int _interface;
    private readonly Thread _thread;
    private readonly Duration _spin;
    private readonly ITableSource? _tables;
    private readonly TableChange[] _changes = new TableChange[64];
    private readonly Duration _linkCheck;
    private readonly LinkWatch _watch;
    private readonly int _frameCountFree;
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Instant _busyAt;
    private Instant _linkCheckAt;
    private Instant _tablesAt;
    private Instant _drainUntil = Instant.Never;
    private Instant _drainCheckAt;
    private Instant _finsUntil = Instant.Never;
    private bool _isStopping;
    private EngineCounters _counters;
    private readonly TurnProfile? _profile;

    internal CoreEngine(PeregrineOptions options, NetworkStack stack, ILink link, ICorePlatform platform, CoreClock clock, ILogger logger)
        : base(stack, options.CompletionMode)
    {
        EventCountMax = options.EventsPerTurnMax;
        (_options, _link, _platform, _clock, _logger) = (options, link, platform, clock, logger);
        _mailbox = new Mailbox(options.MailboxCount);
        _burst = new Frame[options.FramesPerTurnMax];
        _spin = options.Idle == IdleMode.Block ? Duration.Zero : Duration.FromMicroseconds(options.SpinUs);
        _linkCheck = Duration.FromMilliseconds(options.LinkCheckMs);
        if (options.ProfileEveryTurns > 0) _profile = new TurnProfile(options.ProfileEveryTurns, clock);
        _waiter = platform.CreateWaiter();
        _wakeLater = new DeferredWake(_waiter);
        // Read before the interface is made: a change in between is then seen at the first look.
        var (mtu, address) = (Math.Min(link.Mtu, MtuMax), link.MacAddress);
        _interface = AddInterface(mtu);
        stack.Ports = link.Ports;
        if (options.QlogDirectory.Length > 0) stack.Tcp.EventSink = Qlog = new Qlog.QlogSink(options, clock.Now());
        _tables = link.Tables;
        _queue = link.OpenQueue(0, stack.Frames);
        _queue.SetWake(_waiter.Wake);
        _watch = new LinkWatch(link, _queue, stack, _interface, mtu, address, MtuMax, logger);
        _frameCountFree = stack.Frames.Chunks.FreeCount;
        _thread = new Thread(Main) { IsBackground = true, Name = options.Name + " core" };
    }

    /// <summary>Turns of the loop so far; the watchdog sees by it that the core is alive.</summary>
    internal long TurnCount => Volatile.Read(ref _counters.Turns);

    internal ref EngineCounters Counters => ref _counters;

    /// <summary>Where sampled turns' time went; zeros unless the options ask for it.</summary>
    internal TurnSums Profile => _profile?.Sums ?? default;

    /// <summary>Where connections are logged, or null.</summary>
    internal Qlog.QlogSink? Qlog { get; private init; }

    internal LinkQueueCounters LinkCounters => _queue.Counters;

    internal LinkWatch LinkWatch => _watch;

    internal Task Started => _started.Task;

    internal Task Stopped => _stopped.Task;

    internal string LinkName => _link.Name;

    public override bool TryPost(in EngineCommand command)
    {
        if (!_mailbox.TryPost(command))
        {
            Interlocked.Increment(ref _counters.MailboxFull);
            return false;
        }
        _waiter.Wake();
        return true;
    }

    public override bool TryPostSoon(in EngineCommand command)
    {
        // Other threads may block next, for as long as they like.
        if (!Thread.CurrentThread.IsThreadPoolThread) return TryPost(command);
        if (!_mailbox.TryPost(command))
        {
            Interlocked.Increment(ref _counters.MailboxFull);
            return false;
        }
        _wakeLater.Request();
        return true;
    }

    public override void RunElsewhere(IThreadPoolWorkItem item) => ThreadPool.UnsafeQueueUserWorkItem(item, preferLocal: false);

    public override void OnUnhandled(Exception exception, object callback)
    {
        Interlocked.Increment(ref _counters.UnhandledExceptions);
        HostLog.CallbackThrew(_logger, CallbackName.Of(callback), exception);
    }

    internal void Start() => _thread.Start();

    /// <summary>Instead of <see cref="Start"/>: gives everything back without having run.</summary>
    internal void Abandon()
    {
        _queue.Dispose();
        Stack.Dispose();
        _waiter.Dispose();
    }

    /// <summary>
    /// Begins to stop. Patiently: no new connections, and those that are open may finish by themselves. Otherwise they are closed
    /// gracefully at once. What is left when the grace has passed is reset.
    /// </summary>
    internal void BeginStop(TimeSpan grace, bool patient) => Run(() =>
    {
        var until = Now + new Duration(grace.Ticks * 100);
        _drainUntil = Instant.Min(_drainUntil, until);
        _isStopping = true;
        if (patient) CloseListeners();
        else CloseAll();
        return true;
    });

    protected override void WaitForRoom(int attempt)
    {
        // The core empties the mailbox each turn; a poster that waits longer than that should not burn the processor which it needs.
        if (attempt < 16) Thread.SpinWait(32 << Math.Min(attempt, 5));
        else if (attempt < 64) Thread.Yield();
        else Thread.Sleep(1);
    }

    private int MtuMax => _options.MtuBytes == 0 ? ushort.MaxValue : _options.MtuBytes;

    private int AddInterface(int mtu)
    {
        var index = Stack.AddInterface(CreateInterface(mtu), _clock.Now());
        // The link-local address that the stack has given itself is one of the network's as well.
        var own = new Core.Ip.OwnAddress[Stack.Options.Ip.AddressCountMax];
        foreach (ref readonly var address in own.AsSpan(0, Stack.Ip.ListAddresses(own)))
        {
            if (address.InterfaceIndex == index) _link.OnAddress(address.Address);
        }
        return index;
    }

    private Core.Ip.InterfaceOptions CreateInterface(int mtu) => new()
    {
        Name = _link.Name,
        MacAddress = _link.MacAddress,
        Medium = _link.Medium,
        Mtu = mtu,
        Offloads = _link.Offloads,
        SuperSegmentMax = _link.SuperSegmentMax,
        Addresses = _options.ParseAddresses(),
        Gateways = _options.ParseGateways(),
        Autoconfigure = _options.Autoconfigure,
        InterfaceIdentifierKey = _link.SharesMacAddress ? s_identifierKey : UInt128.Zero,
    };

    private void Main()
    {
        try
        {
            AttachThread();
            if (_options.Cpu >= 0 && !_platform.PinCurrentThread(_options.Cpu)) HostLog.NotPinned(_logger, _options.Cpu);
            if (_options.UseSynchronizationContext) SynchronizationContext.SetSynchronizationContext(Context);
            _busyAt = _clock.Now();
            BeginTurn(_busyAt);
            _started.SetResult();
            while (!IsDone(Now)) Turn();
            Flush();
            End(isFaulted: false);
            _stopped.SetResult();
        }
        catch (Exception e)
        {
            // A fault of the stack itself. The process lives on; everything that waits for this core must hear of it.
            HostLog.CoreFailed(_logger, e);
            _started.TrySetException(e);
            try
            {
                End(isFaulted: true);
            }
            finally
            {
                _stopped.TrySetException(e);
            }
        }
    }

    private void Turn()
    {
        _profile?.Begin();
        var received = _queue.Receive(_burst);
        var now = _clock.Now();
        _profile?.Mark(TurnStage.Receive);
        BeginTurn(now);
        if (received > 0) Stack.OnBurst(_interface, _burst.AsSpan(0, received), now);
        _profile?.Mark(TurnStage.Input);
        var commands = TakeCommands();
        _profile?.Mark(TurnStage.Commands);
        Stack.FireTimers(now);
        _profile?.Mark(TurnStage.Timers);
        Dispatch(now);
        _profile?.Mark(TurnStage.Application);
        var more = Stack.Poll(now);
        _profile?.Mark(TurnStage.Output);
        var blocked = Transmit(out var sent);
        _profile?.Mark(TurnStage.Transmit);
        _queue.Reclaim();
        _profile?.Mark(TurnStage.Reclaim);
        _profile?.End(received, sent);
        Volatile.Write(ref _counters.Turns, _counters.Turns + 1);
        if (now >= _linkCheckAt)
        {
            _linkCheckAt = now + _linkCheck;
            _watch.Look(now);
        }
        if (_tables is not null && now >= _tablesAt) ReadTables(_tables, now);
        if (received > 0 || commands > 0 || HasWork || (!blocked && (more || Stack.HasWork)))
        {
            _busyAt = now;
            return;
        }
        if (_options.Idle == IdleMode.BusyPoll || now - _busyAt < _spin)
        {
            _counters.IdleTurns++;
            return;
        }
        Sleep(now, blocked);
    }

    private int TakeCommands()
    {
        var count = 0;
        while (count < _options.CommandsPerTurnMax && _mailbox.TryTake(out var command))
        {
            Execute(command);
            count++;
        }
        _counters.Commands += count;
        return count;
    }

    /// <summary>Gives the link what it takes. True when it did not take all.</summary>
    private bool Transmit(out int taken)
    {
        taken = 0;
        var pending = Stack.PendingOutput(_interface);
        if (pending.Length == 0) return false;
        taken = _queue.Transmit(pending);
        var all = taken == pending.Length;
        Stack.OnTransmitted(_interface, taken);
        if (!all) _counters.TransmitBlocked++;
        return !all;
    }

    private void Sleep(Instant now, bool blocked)
    {
        // The order matters: arm first, look into the mailbox after. A post after the look wakes the waiter, which counts.
        if (!_queue.TryArm()) return;
        _wakeLater.OnSleep();
        if (!_mailbox.IsEmpty)
        {
            _wakeLater.OnAwake();
            return;
        }
        var timeout = Duration.Min(_linkCheckAt - now, Stack.NextDeadline(now) is { IsNever: false } next ? next - now : _linkCheck);
        if (blocked) timeout = Duration.Min(timeout, s_transmitRetry);
        if (_isStopping) timeout = Duration.Min(timeout, Duration.FromMilliseconds(5));
        if (timeout <= Duration.Zero)
        {
            _wakeLater.OnAwake();
            return;
        }
        _counters.Sleeps++;
        Span<int> descriptors = [_queue.PollDescriptor, _tables?.PollDescriptor ?? -1];
        _waiter.Wait(descriptors, timeout);
        _wakeLater.OnAwake();
        _tablesAt = default;
    }

    /// <summary>Applies what the link knows of neighbours and routes.</summary>
    private void ReadTables(ITableSource tables, Instant now)
    {
        var count = tables.Read(_changes);
        // More waits when the span was full; else a look in a millisecond is soon enough for a turn that never sleeps.
        _tablesAt = count == _changes.Length ? now : now + Duration.FromMilliseconds(1);
        foreach (ref readonly var change in _changes.AsSpan(0, count))
        {
            if (change.Kind == TableChangeKind.Neighbour && change.IsRemoved) Stack.Ip.RemoveNeighbour(_interface, change.Prefix.Address);
            else if (change.Kind == TableChangeKind.Neighbour) Stack.Ip.SetNeighbour(_interface, change.Prefix.Address, change.MacAddress, now);
            else if (change.IsRemoved) Stack.Ip.RemoveRoute(change.Prefix, change.Gateway, _interface);
            else Stack.Ip.AddRoute(change.Prefix, change.Gateway, _interface, change.Metric);
        }
    }

    private bool IsDone(Instant now)
    {
        if (!_isStopping) return false;
        if (now >= _drainUntil)
        {
            if (ConnectionCount > 0) HostLog.GracePassed(_logger, ConnectionCount);
            AbortAll();
            CloseAll();
            return true;
        }
        if (now < _drainCheckAt || ConnectionCount > 0 || Stack.HasWork || HasWork) return false;
        _drainCheckAt = now + Duration.FromMilliseconds(2);
        return IsDrained(now);
    }

    /// <summary>
    /// Whether no connection in the background has anything left that its peer has not acknowledged. A FIN alone is waited for only a
    /// little: no data depend on it, and a peer that is gone will never acknowledge it.
    /// </summary>
    private bool IsDrained(Instant now)
    {
        var fins = 0;
        for (var slot = 0; slot < Stack.Tcp.SlotCount; slot++)
        {
            if (!Stack.Tcp.TryGetHandle(slot, out var handle)) continue;
            var status = Stack.Tcp.GetStatus(handle);
            if (!status.IsAlive || status.State is TcpState.Closed or TcpState.FinWait2 or TcpState.TimeWait) continue;
            if (status.UnacknowledgedBytes > 0) return false;
            fins++;
        }
        if (_finsUntil.IsNever) _finsUntil = now + s_finWait;
        return Stack.PendingOutput(_interface).Length == 0 && (fins == 0 || now >= _finsUntil);
    }

    /// <summary>Waits a little until the link has finished with the last frames: a FIN's ACK or a reset may be among them.</summary>
    private void Flush()
    {
        var until = Now + Duration.FromMilliseconds(50);
        do
        {
            Turn();
        }
        while (Stack.Frames.Chunks.FreeCount < _frameCountFree && Now < until);
    }

    private void End(bool isFaulted)
    {
        _mailbox.Close();
        while (!_mailbox.IsDrained)
        {
            if (_mailbox.TryTake(out var command)) Execute(command);
            else Thread.SpinWait(16);
        }
        Stop();
        // After a fault frames may be left whose bytes lie in the queues of connections that are closed by now.
        if (!isFaulted) Transmit(out _);
        _queue.Reclaim();
        _queue.Dispose();
        Stack.Dispose();
        _waiter.Dispose();
    }
}

/// <summary>What the loop did. Plain sums, written by the core and read by anybody.</summary>
internal struct EngineCounters
{
    public long Turns;
    public long IdleTurns;
    public long Sleeps;
    public long Commands;
    public long MailboxFull;
    public long TransmitBlocked;
    public long UnhandledExceptions;
    public long CallbacksTooLong;
}
