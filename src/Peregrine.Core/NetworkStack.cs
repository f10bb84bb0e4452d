// One core's stack: it takes bursts of frames, fires timers, and gives frames out, all with the time as an argument. It has no thread, no
// clock and no system call; the host and the simulation drive it alike. Everything in it belongs to the thread that drives it.
using System.Diagnostics;
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Queues;
using Peregrine.Core.Tcp.AccurateEcn;
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Core.Tcp.Psp;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Wire;

namespace Peregrine.Core;

/// <summary>A TCP/IP stack for one thread.</summary>
public sealed class NetworkStack : IDisposable
{
    /// <summary>Frames that are worked on in stages together.</summary>
    private const int StageSize = 64;

    /// <summary>Packets that are parsed between calling for a slot of the demux table and looking into it.</summary>
    private const int SlotLead = 4;

    /// <summary>Up to so many connections are taken to lie in the processor's cache whenever they are busy: their memory needs no call ahead.</summary>
    private const int CachedConnectionCount = 256;

    private readonly MemoryRegion _region;
    private readonly ReceivedPacket[] _staged = new ReceivedPacket[StageSize];
    private readonly ulong[] _hashes = new ulong[StageSize];
    private readonly uint[] _candidates = new uint[StageSize];
    private readonly Frame[] _looped = new Frame[StageSize];
    private readonly TcpMerge _merge;
    private bool _morePolls;
#if DEBUG
    private int _thread;
#endif

    /// <summary>Makes a stack in a region of at least <see cref="BytesFor"/> zeroed bytes, which it owns from then on.</summary>
    /// <param name="options">Sizes, bounds and settings.</param>
    /// <param name="region">Where all memory comes from.</param>
    /// <param name="secrets">Keys of hashes, ISNs and cookies; the same for all cores of a host.</param>
    /// <param name="randomSeed">Seed of the stack's generator.</param>
    /// <param name="now">The time.</param>
    public NetworkStack(StackOptions options, MemoryRegion region, in StackSecrets secrets, ulong randomSeed, Instant now)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(region);
        options.Validate();
        Options = options;
        _region = region;
        Generator = new StackRandom(randomSeed);
        Frames = new FramePool(new ChunkPool(region, options.FrameSizeBytes, options.FrameCount, "frames"));
        var blocks = new ChunkPool(region, options.BlockSizeBytes, options.BlockCount, "blocks");
        Ip = new IpLayer(options.Ip, Frames, region, secrets.IdentificationKey, Generator, now);
        Udp = new UdpLayer(Ip, options.Udp, blocks, region, secrets.IdentificationKey, Generator);
        var recovery = new LossRecovery(region, options.TransmissionRecordCount, RecoverySettings.Of(options, options.Tcp),
            new BbrControl(new IndexedPool<BbrModel>(region, options.BbrConnectionCountMax), Generator), options.SenderHistoryCountMax);
        Tcp = new TcpLayer(CreateTcp(options, region, secrets, Ip, blocks, Generator, now, recovery), secrets);
        _merge = new TcpMerge(Tcp.Context, StageSize);
        Ip.TcpErrors = new TcpErrorSink(Tcp);
        Ip.UdpErrors = Udp;
        LoopbackIndex = Ip.AddInterface(
            new InterfaceOptions
            {
                Name = "lo",
                Mtu = Math.Min(65_535, options.FrameSizeBytes * 8),
                Medium = LinkMedium.Ip,
                IsLoopback = true,
                Offloads = LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum,
                Addresses = [InterfaceAddress.Parse("127.0.0.1/8"), InterfaceAddress.Parse("::1/128")],
            },
            now);
    }

    /// <summary>What the stack was made with.</summary>
    public StackOptions Options { get; }

    /// <summary>The pool of frames; drivers receive into it.</summary>
    public FramePool Frames { get; }

    /// <summary>The IP layer with interfaces, routes and neighbours.</summary>
    public IpLayer Ip { get; }

    /// <summary>The TCP layer.</summary>
    public TcpLayer Tcp { get; }

    /// <summary>The UDP layer.</summary>
    public UdpLayer Udp { get; }

    /// <summary>Who is told of the ports that listeners and UDP sockets use, or null. Set it before the first of them.</summary>
    public IPortKeeper? Ports
    {
        get => Tcp.Ports;
        set => Tcp.Ports = Udp.Ports = value;
    }

    /// <summary>The stack's generator: the only source of chance in it.</summary>
    internal StackRandom Generator { get; }

    /// <summary>The loopback interface.</summary>
    public int LoopbackIndex { get; }

    /// <summary>The sum of memory, one line per holder, as it stands.</summary>
    public MemoryPlan Memory => MemoryPlan.Of(this);

    internal string MemoryKind => _region.Description;

    /// <summary>Bytes that a stack with these options takes from its region.</summary>
    public static nuint BytesFor(StackOptions options) => (nuint)MemoryPlan.For(options).Bytes + 16_384;

    /// <summary>When the stack has to be called next, at the latest: now, when something waits.</summary>
    public Instant NextDeadline(Instant now) =>
        HasWork ? now : Instant.Max(now, Instant.Min(Tcp.NextDeadline(now), Ip.NextDeadline));

    /// <summary>Whether something waits that needs no new frame, timer or command: output, or frames to ourselves.</summary>
    public bool HasWork => _morePolls || Tcp.HasOutput || Tcp.HasEvents || Udp.HasEvents || HasPendingOutput;

    private bool HasPendingOutput
    {
        get
        {
            for (var i = 0; i < Ip.InterfaceCount; i++)
            {
                if (Ip.PendingOutput(i).Length > 0) return true;
            }
            return false;
        }
    }

    /// <summary>Adds an interface.</summary>
    /// <returns>Its index.</returns>
    /// <exception cref="ArgumentException">An address or gateway makes no sense.</exception>
    public int AddInterface(InterfaceOptions options, Instant now) => Ip.AddInterface(options, now);

    /// <summary>
    /// The link carries larger or smaller packets from now on. Open connections take the new segment size at once, and what they have sent in
    /// segments too large goes again in smaller ones.
    /// </summary>
    /// <param name="interfaceIndex">The interface.</param>
    /// <param name="mtu">The largest IP packet in bytes, 68 to 65,535.</param>
    public void SetMtu(int interfaceIndex, int mtu)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(mtu, 68);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(mtu, 65_535);
        Ip.SetMtu(interfaceIndex, mtu);
        Tcp.OnPathsChanged();
    }

    /// <summary>
    /// The link's device was gone and is another one now: neighbours are asked for again and told our address, which may have changed, and
    /// groups are reported again.
    /// </summary>
    /// <param name="interfaceIndex">The interface.</param>
    /// <param name="mac">Our address on the link; default where the medium has none.</param>
    /// <param name="now">The time.</param>
    public void OnDeviceReplaced(int interfaceIndex, MacAddress mac, Instant now) => Ip.OnDeviceReplaced(interfaceIndex, mac, now);

    /// <summary>PSP, which secures TCP connections that are given keys. From here on segments take no short way, secured or not; null before <see cref="EnablePsp"/>.</summary>
    public PspLayer? Psp => Tcp.Context.Psp;

    /// <summary>Lets connections be secured by the PSP Security Protocol.</summary>
    /// <param name="deviceKey">Of what the keys are made that the peers get. New for each stack and each start: with it they repeat, and may not.</param>
    /// <param name="port">The UDP port of both sides, 1 to 65,535.</param>
    /// <returns>What takes and makes keys; the same every time, and the port is then the first one's.</returns>
    public PspLayer EnablePsp(UInt128 deviceKey, int port = PspLayer.DefaultPort)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(port, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, ushort.MaxValue);
        if (Tcp.Context.Psp is { } psp) return psp;
        // The short ways know neither keys nor datagrams.
        Tcp.UsesShortWays = false;
        Ip.Errors.HasTunnels = true;
        return Tcp.Context.Psp = new PspLayer(Tcp.Context, deviceKey, port);
    }

    /// <summary>Takes received frames; their memory is the stack's from here on.</summary>
    public void OnBurst(int interfaceIndex, Span<Frame> frames, Instant now)
    {
        AssertThread();
        while (frames.Length > 0)
        {
            var n = Math.Min(frames.Length, StageSize);
            OnStage(interfaceIndex, frames[..n], now);
            frames = frames[n..];
        }
    }

    /// <summary>Lets everybody speak who has something to say, as far as the interfaces' bursts have room.</summary>
    /// <returns>True when something more waits.</returns>
    public bool Poll(Instant now)
    {
        AssertThread();
        // What we sent to ourselves comes before what is sent now: a gathered frame refers to a connection's queue, which input may change.
        var looped = Ip.TakeLoopback(LoopbackIndex, _looped);
        if (looped > 0) OnBurst(LoopbackIndex, _looped.AsSpan(0, looped), now);
        _morePolls = !Tcp.Poll(now) || PendingOutput(LoopbackIndex).Length > 0;
        return _morePolls;
    }

    /// <summary>Fires what is due, a bounded number.</summary>
    public void FireTimers(Instant now)
    {
        AssertThread();
        Ip.FireTimers(now);
        Tcp.FireTimers(now);
    }

    /// <summary>Frames that wait to be transmitted on an interface.</summary>
    public Span<Frame> PendingOutput(int interfaceIndex) => Ip.PendingOutput(interfaceIndex);

    /// <summary>Says that a link has taken the first frames of <see cref="PendingOutput"/>.</summary>
    public void OnTransmitted(int interfaceIndex, int count)
    {
        Ip.OnTransmitted(interfaceIndex, count);
        Udp.OnOutputRoom();
    }

    /// <summary>The next thread that calls is the stack's own from here on; nobody else is in it now.</summary>
    [Conditional("DEBUG")]
    internal void HandOver()
    {
#if DEBUG
        _thread = 0;
#endif
    }

    /// <summary>Releases the stack's memory. Links must have given up its frames before.</summary>
    public void Dispose()
    {
        Tcp.Context.Psp?.ForgetAll();
        _region.Dispose();
    }

    private static TcpContext CreateTcp(
        StackOptions options, MemoryRegion region, in StackSecrets secrets, IpLayer ip, ChunkPool blocks, StackRandom random, Instant now, LossRecovery recovery) => new()
    {
        Options = options,
        Ip = ip,
        Generator = random,
        Blocks = blocks,
        Tcbs = new TcbTable(region, options.ConnectionCountMax),
        AccurateEcn = new AccurateEcnTable(region, options.AccurateEcnConnectionCountMax),
        Details = options.ConnectionDetails ? new TcpDetailsTable(region, options.ConnectionCountMax) : null,
        Demux = new DemuxTable(region, MemoryPlan.DemuxCapacity(options), secrets.DemuxKey),
        Wheel = new TimerWheel(region, options.ConnectionCountMax, now),
        Recovery = recovery,
        TimeWaits = new TimeWaitTable(region, options.TimeWaitCountMax, Duration.FromSeconds(options.TimeWaitSeconds)),
        SynBacklog = new SynBacklog(region, options.SynBacklogCountMax, options.ListenerCountMax, options.Tcp.SynAckRetryCount, Duration.FromMilliseconds(options.RtoMsInitial)),
        SendQueue = new SendQueue(blocks),
        ReceiveQueue = new ReceiveQueue(blocks, ip.Frames),
        OutOfOrder = new OutOfOrderQueue(blocks, ip.Frames),
        Settings = new TcpSettingsTable(options.Tcp, recovery, options),
        Listeners = new TcpListeners(options.ListenerCountMax),
        Isn = new IsnGenerator(secrets),
    };

    // RFC 9293 MUST-59: every segment of the burst is processed before Poll sends the first ACK.
    private void OnStage(int interfaceIndex, Span<Frame> frames, Instant now)
    {
        // Whether the connections' memory is called ahead of its use.
        var isAhead = frames.Length > 1 && Tcp.ConnectionCount > CachedConnectionCount;
        var (count, sought) = (0, 0);
        for (var i = 0; i < frames.Length; i++)
        {
            if (!Ip.TryParse(ref frames[i], interfaceIndex, now, out _staged[count])) continue;
            if (Ip.Errors.HasTunnels && !Tcp.Context.TryUnwrap(ref _staged[count]))
            {
                Frames.Return(_staged[count].Frame);
                continue;
            }
            _hashes[count] = _staged[count].Protocol == IpProtocol.Tcp ? Tcp.Receiver.Hash(_staged[count]) : 0;
            if (count > 0 && Options.MergeReceived && !Ip.Errors.HasTunnels && _merge.TryMerge(_staged.AsSpan(0, count), _hashes, ref _staged[count], _hashes[count])) continue;
            count++;
            // While the next are parsed the TCBs of those before load already.
            if (isAhead && count > SlotLead) SeekCandidate(sought++, isAhead);
        }
        while (sought < count) SeekCandidate(sought++, isAhead);
        for (var i = 0; isAhead && i < count; i++) Tcp.Receiver.PrefetchReferred(_candidates[i]);
        for (var i = 0; i < count; i++)
        {
            if (_staged[i].Protocol == IpProtocol.Tcp) Tcp.Receiver.OnPacket(_staged[i], _hashes[i], _candidates[i], now);
            else Udp.OnPacket(_staged[i], now);
            Frames.Return(_staged[i].Frame);
        }
    }

    private void SeekCandidate(int i, bool isAhead)
    {
        _candidates[i] = Tcp.Receiver.Candidate(_hashes[i]);
        if (isAhead) Tcp.Receiver.Prefetch(_candidates[i]);
    }

    [Conditional("DEBUG")]
    private void AssertThread()
    {
#if DEBUG
        if (_thread == 0) _thread = Environment.CurrentManagedThreadId;
        Debug.Assert(_thread == Environment.CurrentManagedThreadId, "a stack belongs to one thread");
#endif
    }

    /// <summary>Hands ICMP errors to TCP without showing the interface to users.</summary>
    private sealed class TcpErrorSink(TcpLayer tcp) : ITransportErrors
    {
        public void OnIcmpError(in IcmpError error, Instant now) => tcp.OnIcmpError(error, now);
    }
}
