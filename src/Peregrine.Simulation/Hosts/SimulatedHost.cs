// A host: a real stack with one card, a clock of its own, and what goes wrong with hosts: pauses, restarts, clocks that run away, memory
// that others hold. It has turns like a core under the real host: input, timers, applications, output; and sleeps until its next deadline.
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Simulation.Judges;
using Peregrine.Simulation.Networks;
using Peregrine.Simulation.Nodes;
using Peregrine.Wire;

namespace Peregrine.Simulation.Hosts;

/// <summary>A host with a real stack.</summary>
public sealed class SimulatedHost : SimulatedNode, IEventTarget
{
    // A turn that goes on for longer without time passing is a stack that talks to itself.
    private const int RoundsMax = 4_096;
    private static readonly Duration RetryDelay = Duration.FromMilliseconds(1);

    private readonly RegionPool _regions;
    private readonly FrameBuffer?[] _ring;
    private readonly Frame[] _burst = new Frame[32];
    private readonly List<uint> _heldBlocks = [];
    private readonly List<Frame> _heldFrames = [];
    private readonly EventQueue _timers = new(16);
    private HostJudge _judge;
    private SimulatedEngine? _engine;
    private IHostApplication? _application;
    private NetworkHost? _network;
    private Instant _wakeAt = Instant.Never;
    private Instant _pausedUntil;
    private Instant _local;
    private int _ringHead, _ringCount, _restarts;
    private bool _isDown;

    internal SimulatedHost(SimulatedWorld world, string name, int number, HostOptions options, RegionPool regions)
        : base(world, name)
    {
        Options = options.Addresses.Count > 0 ? options : options with { Addresses = DefaultAddresses(number) };
        (Number, _regions) = (number, regions);
        // Three times the number, so that a damaged bit never makes one host's address another's.
        Mac = new MacAddress(0x0200_0000_0000 + ((ulong)(number & 0xFF) * 0x0001_0101) + ((ulong)(number >> 8) << 24));
        Clock = new HostClock(world.Now, options.ClockStart);
        _ring = new FrameBuffer?[options.RingCount];
        Stack = MakeStack();
        _judge = new HostJudge(this);
    }

    /// <summary>What the host is made of.</summary>
    public HostOptions Options { get; }

    /// <summary>Its addresses.</summary>
    public IReadOnlyList<InterfaceAddress> Addresses => Options.Addresses;

    /// <summary>Its first IPv4 address, or an unspecified one.</summary>
    public IpAddress AddressV4 => Find(true);

    /// <summary>Its first IPv6 address, or an unspecified one.</summary>
    public IpAddress AddressV6 => Find(false);

    /// <summary>Its Ethernet address.</summary>
    public MacAddress Mac { get; }

    /// <summary>The stack; another one after a restart.</summary>
    public NetworkStack Stack { get; private set; }

    /// <summary>What the host's clock shows in this turn.</summary>
    public Instant LocalNow => _local;

    /// <summary>Frames that came while the card's ring was full, or for which the stack had no memory.</summary>
    public long RingDroppedCount { get; private set; }

    /// <summary>Turns so far.</summary>
    public long TurnCount { get; private set; }

    /// <summary>Whether the host is running: neither restarting nor paused.</summary>
    public bool IsRunning => !_isDown && World.Now >= _pausedUntil;

    /// <summary>The host as code on it sees it: sockets and a clock. From the first use on the host serves sockets only.</summary>
    public NetworkHost Network => _network ??= new NetworkHost(this, _engine = new SimulatedEngine(this, Stack));

    internal int Number { get; }

    /// <summary>Connections that applications on sockets hold.</summary>
    internal int SocketCount => _engine?.ConnectionCount ?? 0;

    internal HostClock Clock { get; }

    internal HostJudge Judge => _judge;

    internal int InterfaceIndex { get; private set; }

    internal IReadOnlyList<uint> HeldBlocks => _heldBlocks;

    internal int HeldFrameCount => _heldFrames.Count;

    internal int FreeFramesAtStart { get; private set; }

    internal int FreeBlocksAtStart { get; private set; }

    internal int FreeRecordsAtStart { get; private set; }

    internal IHostApplication? Application
    {
        get => _application;
        set
        {
            _application = value;
            value?.OnStart(this, _local);
        }
    }

    /// <summary>The whole host stands still: a collection, a suspended virtual machine. Its clock goes on.</summary>
    public void Pause(Duration time) => _pausedUntil = Instant.Max(_pausedUntil, World.Now + time);

    /// <summary>The host loses all state and comes back after a while with a new stack and the same addresses.</summary>
    public void Restart(Duration downTime)
    {
        if (_isDown) return;
        _isDown = true;
        _restarts++;
        _application?.OnRestart(this);
        _network?.OnCrash();
        if (_engine is { } engine)
        {
            engine.Crash(ReadClock());
            ThrowUnhandled(engine);
        }
        _heldBlocks.Clear();
        _heldFrames.Clear();
        while (_ringCount > 0) World.Buffers.Return(TakeFromRing());
        Stack.Dispose();
        World.After(downTime, () =>
        {
            ReadClock();
            Stack = MakeStack();
            var before = _judge;
            _judge = new HostJudge(this) { Adversary = before.Adversary };
            _judge.Connections.Rogues.UnionWith(before.Connections.Rogues);
            _isDown = false;
            if (_network is not null) _network.OnStart(_engine = new SimulatedEngine(this, Stack));
            _application?.OnStart(this, _local);
            Wake();
        });
    }

    /// <summary>The host's clock jumps forward.</summary>
    public void JumpClock(Duration ahead)
    {
        Clock.Jump(ahead, World.Now);
        Wake();
    }

    /// <summary>The host's clock runs faster by so many parts per million from now on; slower when negative.</summary>
    public void DriftClock(int partsPerMillion)
    {
        Clock.Drift(Math.Clamp(partsPerMillion, -500_000, 500_000), World.Now);
        Wake();
    }

    /// <summary>Somebody else holds memory of the stack: blocks of its queues and frames, as far as they are free.</summary>
    public void HoldMemory(int blocks, int frames)
    {
        if (_isDown) return;
        while (blocks-- > 0 && Stack.Tcp.Blocks.FreeCount > 0 && Stack.Tcp.Blocks.TryRent(out var block)) _heldBlocks.Add(block);
        while (frames-- > 0 && Stack.Frames.Chunks.FreeCount > 0 && Stack.Frames.TryRent(out var frame)) _heldFrames.Add(frame);
    }

    /// <summary>All memory that was held is free again.</summary>
    public void ReleaseMemory()
    {
        if (_isDown) return;
        foreach (var block in _heldBlocks) Stack.Tcp.Blocks.Return(block);
        foreach (var frame in _heldFrames) Stack.Frames.Return(frame);
        _heldBlocks.Clear();
        _heldFrames.Clear();
        Wake();
    }

    /// <summary>Has the host look for work now.</summary>
    public void Wake() => WakeAt(World.Now);

    /// <summary>What the host's clock shows at this moment, inside a turn or not.</summary>
    internal Instant ShownClock => Instant.Max(_local, Clock.Local(World.Now));

    /// <summary>Reads the clock for what is done now: it goes never back behind that.</summary>
    internal Instant ReadClock() => _local = ShownClock;

    /// <summary>Plans a call for the time when the host's clock shows so much; a host that stands still is late.</summary>
    internal void AddTimer(Instant local, IEventTarget target, object? payload)
    {
        _timers.Add(local, target, payload);
        WakeAt(Clock.World(local, World.Now));
    }

    internal void End()
    {
        if (!_isDown) Stack.Dispose();
        _isDown = true;
    }

    internal override void OnFrame(int port, FrameBuffer frame, Instant now)
    {
        if (_isDown || _ringCount == _ring.Length)
        {
            RingDroppedCount++;
            World.Buffers.Return(frame);
            return;
        }
        _ring[(_ringHead + _ringCount++) % _ring.Length] = frame;
        WakeAt(now + Options.InterruptDelay);
    }

    void IEventTarget.OnEvent(object? payload, Instant now)
    {
        if (now != _wakeAt) return;
        _wakeAt = Instant.Never;
        if (_isDown) return;
        if (now < _pausedUntil)
        {
            WakeAt(_pausedUntil);
            return;
        }
        try
        {
            Turn(now);
        }
        catch (Exception e) when (e is not SimulationFailureException)
        {
            throw World.Failure("no exceptions", Name, $"{e.GetType().Name}: {e.Message}", e);
        }
    }

    private static InterfaceAddress[] DefaultAddresses(int number) =>
        [new(IpAddress.FromIPv4(0x0A00_0000u + (uint)number), 24), new(IpAddress.FromIPv6(0xFD00_0000_0000_0000, (ulong)number), 64)];

    private IpAddress Find(bool v4)
    {
        foreach (var a in Addresses)
        {
            if (a.Address.IsIPv4 == v4) return a.Address;
        }
        return v4 ? IpAddress.IPv4Any : IpAddress.IPv6Any;
    }

    private NetworkStack MakeStack()
    {
        var seed = new SimulationRandom(World.Seed, 0x2_0000_0000UL + ((ulong)Number << 16) + (ulong)_restarts);
        ReadClock();
        var region = _regions.Rent(NetworkStack.BytesFor(Options.Stack));
        var stack = new NetworkStack(Options.Stack, region, StackSecrets.FromSeed(seed.NextUInt64()), seed.NextUInt64(), _local);
        InterfaceIndex = stack.AddInterface(
            new InterfaceOptions
            {
                Name = "eth0", MacAddress = Mac, Mtu = Options.Mtu, LinkLocal = false, ReportMulticast = false,
                Addresses = Options.Addresses, Gateways = Options.Gateways,
            },
            _local);
        if (Options.SequenceNear is { } near) stack.Tcp.Context.Isn = stack.Tcp.Context.Isn with { Near = new SeqNumber(near) };
        FreeFramesAtStart = stack.Frames.Chunks.FreeCount;
        FreeBlocksAtStart = stack.Tcp.Blocks.FreeCount;
        FreeRecordsAtStart = stack.Tcp.Context.Recovery.FreeRecords;
        return stack;
    }

    private void WakeAt(Instant at)
    {
        if (at >= _wakeAt) return;
        _wakeAt = at;
        World.Queue.Add(at, this);
    }

    private void Turn(Instant now)
    {
        TurnCount++;
        ReadClock();
        bool isBusy, any = false;
        var round = 0;
        do
        {
            if (round++ > RoundsMax) throw World.Failure("comes to rest", Name, "the host is busy for ever without time passing");
            isBusy = Receive();
            Stack.FireTimers(_local);
            isBusy |= FireTimers();
            isBusy |= Dispatch();
            Stack.Poll(_local);
            isBusy |= Transmit(now);
            any |= isBusy;
        }
        while (isBusy && HasWork);
        if (World.IsJudged) _judge.AfterTurn(any, now);
        // Output that cannot go on for want of memory is tried again, as a core's next turn would.
        var next = HasWork ? now + RetryDelay : Clock.World(Stack.NextDeadline(_local), now);
        next = Instant.Min(next, Clock.World(_timers.Next, now));
        if (!next.IsNever) WakeAt(Instant.Max(next, now + new Duration(1_000)));
    }

    private bool HasWork => Stack.HasWork || _ringCount > 0 || _engine is { IsIdle: false };

    private bool Receive()
    {
        var count = 0;
        while (count < _burst.Length && _ringCount > 0)
        {
            var buffer = TakeFromRing();
            if (buffer.Length <= Stack.Options.FrameSizeBytes && Stack.Frames.TryRent(out var frame, 0))
            {
                frame.HeadLength = (ushort)buffer.Length;
                frame.Length = buffer.Length;
                buffer.Span.CopyTo(Stack.Frames.Head(frame));
                if (World.IsJudged) _judge.OnReceived(buffer.Span);
                _burst[count++] = frame;
            }
            else
            {
                RingDroppedCount++;
            }
            World.Buffers.Return(buffer);
        }
        if (count == 0) return false;
        Stack.OnBurst(InterfaceIndex, _burst.AsSpan(0, count), _local);
        if (World.IsJudged) _judge.AfterBurst();
        return true;
    }

    private bool FireTimers()
    {
        var any = false;
        // Not those that the fired ones plan: a timer without a period must not hold the turn.
        for (var left = _timers.Count; left > 0 && _timers.Next <= _local; left--)
        {
            any = true;
            _timers.Take(out var target, out var payload);
            target.OnEvent(payload, _local);
        }
        return any;
    }

    private FrameBuffer TakeFromRing()
    {
        var frame = _ring[_ringHead]!;
        _ring[_ringHead] = null;
        _ringHead = (_ringHead + 1) % _ring.Length;
        _ringCount--;
        return frame;
    }

    private bool Dispatch()
    {
        if (_engine is not null)
        {
            var isBusy = !_engine.IsIdle || Stack.Tcp.HasEvents;
            _engine.Turn(_local);
            ThrowUnhandled(_engine);
            return isBusy;
        }
        var any = false;
        while (Stack.Tcp.TryNextEvent(out var e))
        {
            any = true;
            _application?.OnEvent(this, e, _local);
        }
        while (Stack.Udp.TryNextEvent(out var e))
        {
            any = true;
            _application?.OnEvent(this, e, _local);
        }
        return any | (_application?.OnTurn(this, _local) ?? false);
    }

    private void ThrowUnhandled(SimulatedEngine engine)
    {
        if (engine.Unhandled is SimulationFailureException failure) throw failure;
        if (engine.Unhandled is { } other) throw World.Failure("no exceptions", Name, "an application's call-back threw: " + other.Message, other);
    }

    private bool Transmit(Instant now)
    {
        var pending = Stack.PendingOutput(InterfaceIndex);
        if (pending.Length == 0) return false;
        World.HostFrameCount += pending.Length;
        foreach (ref var frame in pending)
        {
            var buffer = World.Buffers.Rent(frame.Length);
            Stack.Frames.CopyTo(frame, 0, buffer.Span);
            Stack.Frames.Return(frame);
            if (World.IsJudged) _judge.OnSent(buffer.Span);
            if (PortCount > 0) Port(0).Send(buffer, now);
            else World.Buffers.Return(buffer);
        }
        Stack.OnTransmitted(InterfaceIndex, pending.Length);
        return true;
    }
}
