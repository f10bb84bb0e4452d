using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Memif;

namespace Peregrine.Drivers.Tests;

/// <summary>
/// The hostile peer: on the control socket, in the rings between two calls (the same for the same seed), and in the rings during the calls,
/// from another thread. PEREGRINE_FUZZ_SEED replays one seed; PEREGRINE_LONG=1 runs more, PEREGRINE_EMULATED=1 fewer.
/// </summary>
[Collection(nameof(Alone))]
public sealed unsafe class MemifHostileTests
{

    private static int SeedCount =>
        Environment.GetEnvironmentVariable("PEREGRINE_EMULATED") == "1" ? 300 : Environment.GetEnvironmentVariable("PEREGRINE_LONG") == "1" ? 500_000 : 12_000;

    private static IEnumerable<int> Seeds =>
        Environment.GetEnvironmentVariable("PEREGRINE_FUZZ_SEED") is { } one ? [int.Parse(one)] : Enumerable.Range(1, SeedCount);

    [Fact]
    public void NoConversationCrashesOrLeaksADescriptor()
    {
        var before = OpenDescriptors();
        var (connected, refused) = (0, new HashSet<string>());
        using (var given = new Belongings())
        {
            foreach (var seed in Seeds)
            {
                var random = new Random(seed);
                var outcome = random.Next(4) == 0 ? TalkToClient(random) : TalkToServer(random, given);
                if (outcome is null) connected++;
                else refused.Add(outcome);
            }
        }
        Assert.Equal(before, OpenDescriptors());
        // A fuzzer that never gets anywhere finds nothing.
        if (SeedCount < 1_000) return;
        Assert.True(connected > SeedCount / 100, $"{connected} conversations got through");
        string[] wanted =
            [
                "message before init", "second init", "region is shorter than said", "region is not sealed against shrinking", "region index out of order",
                "regions are too large", "ring lies outside of its region", "ring in an unknown region", "ring index out of order", "ring's descriptor is not an eventfd",
                "ring without a descriptor", "region without a descriptor", "ring size is not supported", "ring without cookie", "connect without rings",
                "version is not 2.0", "unexpected message",
            ];
        Assert.Empty(wanted.Except(refused));
    }

    [Fact]
    public void NoRingStateCrashesLeaksOrLeadsOutOfTheRegion()
    {
        var (received, sent, failed) = (0L, 0L, 0);
        using var memory = new GuardedRegion();
        foreach (var seed in Seeds)
        {
            var world = new HostileWorld(memory, new Random(seed), $"seed {seed}");
            world.Run();
            received += world.Counters.ReceivedFrames;
            sent += world.Counters.SentFrames;
            if (world.HasFailed) failed++;
        }
        if (SeedCount < 1_000) return;
        Assert.True(received > SeedCount && sent > SeedCount && failed > SeedCount / 100, $"{received} received, {sent} sent, {failed} sessions ended");
    }

    [Theory]
    [InlineData(MemifRole.Server)]
    [InlineData(MemifRole.Client)]
    public void WritesFromAnotherThreadDoNoHarm(MemifRole ours)
    {
        using var pair = new MemifPair(new MemifOptions { RingSize = 64, BufferSize = 256 }).Connected();
        var (queue, pool, peer) = ours == MemifRole.Server ? (pair.ServerQueue, pair.ServerPool, pair.Client) : (pair.ClientQueue, pair.ClientPool, pair.Server);
        var rounds = Environment.GetEnvironmentVariable("PEREGRINE_EMULATED") == "1" ? 2_000 : 100_000;
        using var stop = new CancellationTokenSource();
        var vandal = new Thread(() => Vandalise(peer, stop.Token));
        vandal.Start();
        var burst = new Frame[16];
        var round = 0;
        void Turn()
        {
            var count = queue.Receive(burst);
            foreach (var frame in burst.AsSpan(0, count))
            {
                Assert.InRange(frame.Length, 14, 1_522);
                pool.Return(frame);
            }
            for (var i = 0; i < 4; i++) burst[i] = PoolFixture.Make(pool, new byte[100 + (round % 700)]);
            for (var taken = queue.Transmit(burst.AsSpan(0, 4)); taken < 4; taken++) pool.Return(burst[taken]);
            queue.Reclaim();
            round++;
        }

        MemifPair.WaitUntil(() =>
        {
            for (var i = 0; i < 1_000; i++) Turn();
            return round >= rounds && pair.Server.ConnectionCount >= 4;
        }, () => $"{pair.Server.ConnectionCount} connections in {round} turns");
        stop.Cancel();
        vandal.Join();
        Assert.True(queue.Counters.ReceiveDroppedMalformed + queue.Counters.ReceiveErrors + queue.Counters.SentFrames > 0);
        pair.CloseWithoutLeak();
    }

    /// <summary>Writes into the session's memory what comes to mind, mostly into what matters, for as long as there is one.</summary>
    private static void Vandalise(MemifLink link, CancellationToken stop)
    {
        var random = new Random(7);
        while (!stop.IsCancellationRequested)
        {
            var session = link.Session;
            if (session is null || !session.TryAcquire())
            {
                Thread.Yield();
                continue;
            }
            for (var i = 0; i < 2_000; i++)
            {
                foreach (var ring in session.ToServer.Concat(session.ToClient)) Mutation.Ring(ring, random, session.Regions[0].Length, gentle: random.Next(16) != 0);
            }
            session.Release();
        }
    }

    private static int OpenDescriptors()
    {
        // What tests before this one have dropped without closing it goes now, and not in between.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Directory.GetFileSystemEntries("/proc/self/fd").Length;
    }

    private static string? TalkToServer(Random random, Belongings given)
    {
        var options = new MemifOptions { SocketPath = "@x", QueueCount = 2, RegionBytesMax = 1 << 20 };
        using var handshake = new MemifServerHandshake(options, "test", static () => { });
        var bytes = new byte[MemifMessage.Size];
        var refusal = (string?)null;
        var isMad = random.Next(3) != 0;
        for (int step = 0, region = 0, toServer = 0, toClient = 0; step < 12 && refusal is null && handshake.Session is null; step++)
        {
            var message = new MemifMessage(bytes);
            var descriptor = -1;
            switch (isMad && random.Next(3) == 0 ? random.Next(9) : Math.Min(step, 4))
            {
                case 0:
                    message.Write(new MemifInit(MemifMessage.Version, 0, 0, "fuzz"), default);
                    break;
                case 1:
                    message.Write(new MemifAddRegion((ushort)region++, Belongings.RegionBytes));
                    descriptor = given.Take(isMad && random.Next(3) == 0 ? random.Next(6) : 0);
                    break;
                case 2 or 3:
                    var isToServer = random.Next(2) == 0;
                    var offset = (uint)(isMad ? random.Next(8) * 4_096 : random.Next(4) * 4_096);
                    message.Write(new MemifAddRing(isToServer, (ushort)(isToServer ? toServer++ : toClient++), 0, offset, 6, 0));
                    descriptor = given.Take(isMad && random.Next(2) == 0 ? random.Next(6) : 3);
                    break;
                case 4:
                    message.WriteConnect("fuzz");
                    break;
                case 5:
                    message.WriteAck();
                    break;
                case 6:
                    message.WriteDisconnect("fuzz");
                    break;
                default:
                    random.NextBytes(bytes);
                    bytes[0] = (byte)random.Next(10);
                    bytes[1] = 0;
                    break;
            }
            if (isMad && random.Next(3) == 0) Mutation.Bytes(bytes, random);
            refusal = handshake.OnMessage(bytes, descriptor);
            while (handshake.TryTakeOutgoing(out _))
            {
            }
        }
        handshake.Session?.Release();
        return handshake.Session is null ? refusal ?? "gave up" : null;
    }

    private static string? TalkToClient(Random random)
    {
        var options = new MemifOptions { SocketPath = "@x", QueueCount = 2, RingSize = 8, BufferSize = 256 };
        using var handshake = new MemifClientHandshake(options, "test", static () => { });
        var bytes = new byte[MemifMessage.Size];
        var isMad = random.Next(3) != 0;
        var refusal = (string?)null;
        for (var step = 0; step < 12 && refusal is null && handshake.Session is null; step++)
        {
            var message = new MemifMessage(bytes);
            if (step == 0) message.Write(new MemifHello("fuzz", MemifMessage.Version, MemifMessage.Version, 1, 0, 1, 10));
            else if (step < 6) message.WriteAck();
            else message.WriteConnected("fuzz");
            if (isMad && random.Next(3) == 0) Mutation.Bytes(bytes, random);
            if (isMad && random.Next(6) == 0) bytes[0] = (byte)random.Next(10);
            refusal = handshake.OnMessage(bytes, -1);
            while (handshake.TryTakeOutgoing(out _))
            {
            }
        }
        handshake.Session?.Release();
        return handshake.Session is null ? refusal ?? "gave up" : null;
    }

    /// <summary>Descriptors that a peer might send, each given as a copy.</summary>
    private sealed class Belongings : IDisposable
    {
        public const ulong RegionBytes = 16_384;

        private readonly int[] _descriptors;

        public Belongings()
        {
            var sealedRegion = Memory(RegionBytes, UnixSocket.SealShrink);
            var plain = Memory(RegionBytes, 0);
            var small = Memory(100, UnixSocket.SealShrink);
            _descriptors = [sealedRegion, plain, small, Posix.CreateEvent().Int32, Posix.Open("/dev/null", OpenFlags.ReadWrite).Int32];
            var mapped = Posix.Map(0, (nuint)RegionBytes, MapFlags.Read | MapFlags.Write, MapFlags.Shared, sealedRegion).ThrowIfError("map").Value;
            // The cookie of a ring at the start of every other page.
            for (var at = 0; at < (int)RegionBytes; at += 8_192) *(uint*)(mapped + at) = MemifRing.Cookie;
            Posix.Unmap(mapped, (nuint)RegionBytes);
        }

        public int Take(int which) =>
            which >= _descriptors.Length ? -1 : PosixResult.From(LibC.FileControl(_descriptors[which], 1030, 0)).ThrowIfError("dup").Int32;

        public void Dispose()
        {
            foreach (var descriptor in _descriptors) Posix.Close(descriptor);
        }

        private static int Memory(ulong length, int seals)
        {
            var descriptor = Posix.CreateMemoryDescriptor("fuzz", UnixSocket.DescriptorAllowSealing).ThrowIfError("memfd").Int32;
            Posix.Truncate(descriptor, (nuint)length).ThrowIfError("truncate");
            if (seals != 0) UnixSocket.Seal(descriptor, seals).ThrowIfError("seal");
            return descriptor;
        }
    }
}

/// <summary>Tests that count the process's descriptors, or change what all of it shares, run when no others do.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>Memory with a page on each side that nothing may touch: a step outside ends the test process.</summary>
internal sealed unsafe class GuardedRegion : IDisposable
{
    public const int Length = 65_536;

    private readonly nint _all;
    private readonly nuint _allLength = Length + (2 * Posix.PageSize);

    public GuardedRegion()
    {
        _all = Posix.Map(0, _allLength, MapFlags.None, MapFlags.Private | MapFlags.Anonymous, -1).ThrowIfError("reserve").Value;
        Posix.Map(_all + (nint)Posix.PageSize, Length, MapFlags.Read | MapFlags.Write, MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed, -1).ThrowIfError("map");
    }

    public byte* Base => (byte*)_all + Posix.PageSize;

    public MemifRegion Borrow() => MemifRegion.Borrow(Base, Length, -1);

    public void Dispose() => Posix.Unmap(_all, _allLength);
}

/// <summary>One queue's ports over rings in which the peer writes whatever it likes between the calls.</summary>
internal sealed unsafe class HostileWorld
{
    private readonly Random _random;
    private readonly string _name;
    private static readonly byte* s_payload = (byte*)NativeMemory.AllocZeroed(2_048);

    private readonly FramePool _pool = PoolFixture.Pool(64, 512);
    private readonly MemifSession _session;
    private readonly MemifReceiver _receiver;
    private readonly MemifSender _sender;
    private readonly MemifRing _toServer, _toClient;

    public LinkQueueCounters Counters;

    public HostileWorld(GuardedRegion memory, Random random, string name)
    {
        (_random, _name) = (random, name);
        new Span<byte>(memory.Base, GuardedRegion.Length).Clear();
        var sizeLog2 = random.Next(1, 6);
        _toServer = new MemifRing(memory.Base, sizeLog2, -1);
        _toClient = new MemifRing(memory.Base + 4_096, sizeLog2, -1);
        _toServer.Initialise();
        _toClient.Initialise();
        var isServer = random.Next(2) == 0;
        _session = new MemifSession([memory.Borrow()], [_toServer], [_toClient], 256, static () => { }) { BuffersOffset = 8_192 };
        var limits = new MemifLimits(LinkMedium.Ethernet, 14, 1_522);
        var theirs = 8_192 + (256u << sizeLog2);
        if (isServer)
        {
            // What a client would have offered.
            for (ushort i = 0; i < _toClient.Count; i++) _toClient.Store(i, 0, 0, 256, theirs + (uint)(i * 256));
            _toClient.StoreHead((ushort)_toClient.Count);
            _receiver = new MemifServerReceiver(_session, _toServer, _pool, limits);
            _sender = new MemifServerSender(_session, _toClient, _pool, limits);
        }
        else
        {
            _receiver = new MemifClientReceiver(_session, _toClient, _pool, limits, theirs);
            _sender = new MemifClientSender(_session, _toServer, _pool, limits, 8_192);
        }
        IsServer = isServer;
    }

    private bool IsServer { get; }

    public bool HasFailed => _session.Failure is not null;

    public void Run()
    {
        var burst = new Frame[8];
        for (var step = 0; step < 40 && !HasFailed; step++)
        {
            Behave();
            if (_random.Next(3) == 0) Mutation.Ring(_random.Next(2) == 0 ? _toServer : _toClient, _random, GuardedRegion.Length, gentle: _random.Next(8) != 0);
            var count = _receiver.Receive(burst, ref Counters);
            foreach (var frame in burst.AsSpan(0, count))
            {
                Assert.True(frame.Length is >= 14 and <= 1_522 && PoolFixture.Bytes(_pool, frame).Length == frame.Length, _name);
                _pool.Return(frame);
            }
            var frames = _random.Next(1, 5);
            for (var i = 0; i < frames; i++) burst[i] = Outgoing();
            for (var taken = _sender.Transmit(burst.AsSpan(0, frames), ref Counters); taken < frames; taken++) _pool.Return(burst[taken]);
            _sender.Reclaim();
        }
        _receiver.Close();
        _sender.Close();
        Assert.True(_pool.Chunks.FreeCount == _pool.Chunks.Count, $"{_name}: {_pool.Chunks.Count - _pool.Chunks.FreeCount} chunks are lost");
    }

    /// <summary>A frame of every kind that the stack sends: whole, with its checksum to be finished, and gathered.</summary>
    private Frame Outgoing()
    {
        var frame = PoolFixture.Make(_pool, new byte[_random.Next(1, 1_600)], 64);
        if (_random.Next(2) == 0 || frame.HeadLength < 66) return frame;
        frame.Flags |= FrameFlags.ChecksumUnfinished;
        (frame.ChecksumStart, frame.ChecksumOffset) = (34, 16);
        if (_random.Next(2) == 0 || frame.IsChained) return frame;
        var length = frame.HeadLength - 66;
        if (length == 0) return frame;
        frame.Length = frame.HeadLength = 66;
        _pool.PieceRoom(frame)[0] = new FramePiece { Address = s_payload, Length = (nuint)length };
        _pool.SetPieces(ref frame, 1, length);
        return frame;
    }

    /// <summary>What an honest peer would do: send something, and take what was sent.</summary>
    private void Behave()
    {
        if (IsServer)
        {
            var head = _toServer.LoadHead();
            for (var i = _random.Next(3); i > 0; i--)
                _toServer.Store(head++, (ushort)(i > 1 ? _random.Next(2) : 0), 0, (uint)_random.Next(10, 300), (uint)(8_192 + _random.Next(8_192)));
            _toServer.StoreHead(head);
            _toClient.StoreHead((ushort)(_toClient.LoadTail() + _toClient.Count));
            return;
        }
        var tail = _toClient.LoadTail();
        for (var i = Math.Min(_random.Next(3), (ushort)(_toClient.LoadHead() - tail)); i > 0; i--)
        {
            var descriptor = _toClient.Load(tail);
            _toClient.Store(tail++, (ushort)(i > 1 ? _random.Next(2) : 0), descriptor.Region, (uint)_random.Next(10, 257), descriptor.Offset);
        }
        _toClient.StoreTail(tail);
        _toServer.StoreTail(_toServer.LoadHead());
    }
}

/// <summary>Changes that hurt.</summary>
internal static unsafe class Mutation
{
    private static readonly uint[] s_values = [0, 1, 2, 14, 255, 256, 257, 4_095, 65_534, 65_535, 65_536, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FF00, 0xFFFF_FFFF];

    public static void Bytes(Span<byte> bytes, Random random)
    {
        for (var n = random.Next(1, 4); n > 0; n--)
        {
            var at = random.Next(random.Next(2) == 0 ? 16 : bytes.Length);
            if (random.Next(2) == 0 && at + 4 <= bytes.Length) MemoryMarshal.Write(bytes[at..], s_values[random.Next(s_values.Length)]);
            else bytes[at] = (byte)random.Next(256);
        }
    }

    /// <summary>Changes descriptors, and unless gentle also indexes and the head of the ring.</summary>
    public static void Ring(in MemifRing ring, Random random, ulong length, bool gentle)
    {
        var at = ring.Address + MemifRing.DescriptorsOffset + (random.Next(ring.Count) * MemifDescriptor.Size);
        switch (random.Next(gentle ? 5 : 9))
        {
            case 0:
                *(ushort*)at = (ushort)random.Next(4);
                break;
            case 1:
                *(ushort*)(at + 2) = (ushort)s_values[random.Next(s_values.Length)];
                break;
            case 2:
                *(uint*)(at + 4) = random.Next(2) == 0 ? s_values[random.Next(s_values.Length)] : (uint)random.Next(2_000);
                break;
            case 3:
                *(uint*)(at + 8) = random.Next(2) == 0 ? s_values[random.Next(s_values.Length)] : (uint)(length - (ulong)random.Next(300));
                break;
            case 4:
                *(ushort*)(ring.Address + MemifRing.FlagsOffset) = (ushort)random.Next(2);
                break;
            case 5:
                ring.StoreHead((ushort)random.Next(65_536));
                break;
            case 6:
                ring.StoreTail((ushort)random.Next(65_536));
                break;
            case 7:
                ring.StoreHead((ushort)(ring.LoadTail() + random.Next(ring.Count + 2)));
                break;
            default:
                random.NextBytes(new Span<byte>(ring.Address, MemifRing.BytesFor(ring.SizeLog2)));
                break;
        }
    }
}
