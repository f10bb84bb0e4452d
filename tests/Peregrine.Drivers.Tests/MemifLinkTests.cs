using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Memif;

namespace Peregrine.Drivers.Tests;

public sealed class MemifLinkTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void FramesPassBothWaysUnchanged(int queues)
    {
        using var pair = new MemifPair(new MemifOptions { QueueCount = queues }).Connected();
        Assert.NotEqual(pair.Server.MacAddress, pair.Client.MacAddress);
        for (var length = 14; length < 1_522; length += 13)
        {
            var bytes = PoolFixture.Pattern(length, length);
            Assert.Equal(bytes, pair.ToServer(bytes));
            Assert.Equal(bytes, pair.ToClient(bytes));
        }
        Assert.Equal(pair.ClientQueue.Counters.SentFrames, pair.ServerQueue.Counters.ReceivedFrames);
        Assert.Equal(pair.ServerQueue.Counters.SentBytes, pair.ClientQueue.Counters.ReceivedBytes);
        pair.CloseWithoutLeak();
    }

    [Fact]
    public void FramesLongerThanABufferAreChained()
    {
        using var pair = new MemifPair(new MemifOptions { BufferSize = 256, Mtu = 9_000, RingSize = 64 }).Connected();
        foreach (var length in (int[])[255, 256, 257, 512, 1_500, 4_096, 9_014])
        {
            var bytes = PoolFixture.Pattern(length, length);
            Assert.Equal(bytes, pair.ToServer(bytes));
            Assert.Equal(bytes, pair.ToClient(bytes));
        }
        pair.CloseWithoutLeak();
    }

    [Fact]
    public void FullRingTakesNoMoreAndLosesNothing()
    {
        using var pair = new MemifPair(new MemifOptions { RingSize = 16 }).Connected();
        foreach (var (from, fromPool, to, toPool) in new[]
                 {
                     (pair.ClientQueue, pair.ClientPool, pair.ServerQueue, pair.ServerPool), (pair.ServerQueue, pair.ServerPool, pair.ClientQueue, pair.ClientPool),
                 })
        {
            // Far enough for the indexes of 16 bits to wrap, several times.
            var (sent, got, next) = (0, 0, 0);
            var burst = new Frame[24];
            var pending = new List<Frame>();
            while (got < 200_000)
            {
                while (pending.Count < 24) pending.Add(PoolFixture.Make(fromPool, BitConverter.GetBytes((long)next++).Concat(new byte[40]).ToArray()));
                var taken = from.Transmit(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(pending));
                Assert.InRange(taken, 0, 16);
                pending.RemoveRange(0, taken);
                sent += taken;
                var received = to.Receive(burst.AsSpan(0, 1 + (got % 24)));
                for (var i = 0; i < received; i++)
                {
                    Assert.Equal(got++, BitConverter.ToInt64(PoolFixture.Bytes(toPool, burst[i])));
                    toPool.Return(burst[i]);
                }
                from.Reclaim();
            }
            Assert.InRange(sent - got, 0, 16);
            for (int left; (left = to.Receive(burst)) > 0;) foreach (var frame in burst.AsSpan(0, left)) toPool.Return(frame);
            foreach (var frame in pending) fromPool.Return(frame);
        }
        pair.CloseWithoutLeak();
    }

    [Fact]
    public void WithoutChunksFramesAreLostAndCounted()
    {
        using var pair = new MemifPair(chunks: 64).Connected();
        var held = new List<uint>();
        while (pair.ServerPool.Chunks.TryRent(out var chunk)) held.Add(chunk);
        Assert.Equal(1, pair.ClientQueue.Transmit([PoolFixture.Make(pair.ClientPool, new byte[60])]));
        Assert.Equal(0, pair.ServerQueue.Receive(new Frame[4]));
        Assert.Equal(1, pair.ServerQueue.Counters.ReceiveDroppedNoMemory);
        foreach (var chunk in held) pair.ServerPool.Chunks.Return(chunk);
        var bytes = PoolFixture.Pattern(60);
        Assert.Equal(bytes, pair.ToServer(bytes));
        pair.CloseWithoutLeak();
    }

    [Fact]
    public void FramesThatNeedOffloadsOrAreTooLongAreRefusedAndCounted()
    {
        using var pair = new MemifPair().Connected();
        Assert.Equal((LinkOffloads.Gather | LinkOffloads.GatherSegments, 0), (pair.Client.Offloads, pair.Client.SuperSegmentMax));
        var unfinished = PoolFixture.Make(pair.ClientPool, new byte[60]);
        unfinished.Flags |= FrameFlags.ChecksumUnfinished;
        (unfinished.ChecksumStart, unfinished.ChecksumOffset) = (34, 25);
        var merged = PoolFixture.Make(pair.ClientPool, new byte[60]);
        merged.SegmentKind = SegmentKind.Tcp4;
        Assert.Equal(3, pair.ClientQueue.Transmit([unfinished, merged, PoolFixture.Make(pair.ClientPool, new byte[1_523])]));
        Assert.Equal(3, pair.ClientQueue.Counters.SendDroppedError);
        Assert.Equal(0, pair.ServerQueue.Receive(new Frame[4]));
        pair.CloseWithoutLeak();
    }

    [Fact]
    public void ClientComesBackToAServerThatStartsAgain()
    {
        using var pair = new MemifPair(new MemifOptions { SocketPath = Path.Combine(Path.GetTempPath(), $"memif-{Environment.ProcessId}-a.sock") }).Connected();
        Assert.Equal(1, pair.ClientQueue.Transmit([PoolFixture.Make(pair.ClientPool, new byte[60])]));
        pair.Server.Dispose();
        MemifPair.WaitUntil(() => !pair.Client.IsUp);
        Assert.Equal(1, pair.ClientQueue.Transmit([PoolFixture.Make(pair.ClientPool, new byte[60])]));
        Assert.Equal(1, pair.ClientQueue.Counters.SendDroppedError);
        pair.Server = MemifLink.Open(pair.ServerOptions);
        pair.ServerQueue = pair.Server.OpenQueue(0, pair.ServerPool);
        pair.Connected();
        Assert.Equal((2, 1), (pair.Client.ConnectionCount, pair.Server.ConnectionCount));
        var bytes = PoolFixture.Pattern(100);
        Assert.Equal(bytes, pair.ToServer(bytes));
        Assert.Equal(bytes, pair.ToClient(bytes));
        pair.CloseWithoutLeak();
        Assert.False(File.Exists(pair.ServerOptions.SocketPath));
    }

    [Fact]
    public void ServerTakesAClientThatStartsAgain()
    {
        using var pair = new MemifPair().Connected();
        pair.Client.Dispose();
        MemifPair.WaitUntil(() => !pair.Server.IsUp);
        pair.Client = MemifLink.Open(pair.ClientOptions);
        pair.ClientQueue = pair.Client.OpenQueue(0, pair.ClientPool);
        pair.Connected();
        var bytes = PoolFixture.Pattern(100);
        Assert.Equal(bytes, pair.ToServer(bytes));
        Assert.Equal(bytes, pair.ToClient(bytes));
        pair.CloseWithoutLeak();
    }

    [Theory]
    [InlineData("secret", "incorrect secret")]
    [InlineData("id", "no interface of this id")]
    [InlineData("mode", "mode mismatch")]
    public void ClientIsToldWhyItIsRefused(string what, string reason)
    {
        var options = new MemifOptions { SocketPath = MemifPair.UniqueName(), Role = MemifRole.Server, Secret = "open" };
        using var server = MemifLink.Open(options);
        options = options with { Role = MemifRole.Client };
        using var client = MemifLink.Open(what switch
        {
            "secret" => options with { Secret = "opem" },
            "id" => options with { Id = 1 },
            _ => options with { Medium = LinkMedium.Ip },
        });
        client.OpenQueue(0, PoolFixture.Pool());
        MemifPair.WaitUntil(() => client.State.Contains(reason, StringComparison.Ordinal), () => client.State);
        Assert.False(client.IsUp || server.IsUp);
    }

    [Fact]
    public void SecondClientIsTurnedAway()
    {
        using var pair = new MemifPair().Connected();
        using var second = MemifLink.Open(pair.ClientOptions);
        second.OpenQueue(0, PoolFixture.Pool());
        MemifPair.WaitUntil(() => second.State.Contains("already connected", StringComparison.Ordinal), () => second.State);
        Assert.True(pair.Server.IsUp && !second.IsUp);
    }

    [Fact]
    public unsafe void SleeperIsWokenBySignalAndOnlyThen()
    {
        using var pair = new MemifPair().Connected();
        foreach (var (from, fromPool, to, toPool) in new[]
                 {
                     (pair.ClientQueue, pair.ClientPool, pair.ServerQueue, pair.ServerPool), (pair.ServerQueue, pair.ServerPool, pair.ClientQueue, pair.ClientPool),
                 })
        {
            Span<PollDescriptor> poll = [new() { Descriptor = to.PollDescriptor, Events = LinuxConstants.PollIn }];
            Assert.Equal(1, from.Transmit([PoolFixture.Make(fromPool, new byte[60])]));
            Assert.Equal(0, Posix.Poll(poll, 0).Int32);
            Assert.False(to.TryArm());
            var got = new Frame[1];
            Assert.Equal(1, to.Receive(got));
            toPool.Return(got[0]);
            Assert.True(to.TryArm());
            Assert.Equal(0, Posix.Poll(poll, 0).Int32);
            Assert.Equal(1, from.Transmit([PoolFixture.Make(fromPool, new byte[60])]));
            Assert.Equal(1, Posix.Poll(poll, 0).Int32);
            Assert.Equal(1, to.Receive(got));
            toPool.Return(got[0]);
            Assert.Equal(0, Posix.Poll(poll, 0).Int32);
            from.Reclaim();
        }
        pair.CloseWithoutLeak();
    }

    [Fact]
    public void PollingQueueNeverSleeps()
    {
        using var pair = new MemifPair(new MemifOptions { Polling = true }).Connected();
        Assert.Equal((false, -1), (pair.ServerQueue.TryArm(), pair.ServerQueue.PollDescriptor));
    }

    [Fact]
    public void EndOfAConnectionWakesASleeper()
    {
        using var pair = new MemifPair().Connected();
        using var woken = new ManualResetEventSlim();
        pair.ServerQueue.SetWake(woken.Set);
        Assert.True(pair.ServerQueue.TryArm());
        pair.Client.Dispose();
        Assert.True(woken.Wait(60_000, TestContext.Current.CancellationToken));
        Assert.Equal(0, pair.ServerQueue.Receive(new Frame[1]));
        Assert.Equal(-1, pair.ServerQueue.PollDescriptor);
    }

    [Fact]
    public void NothingIsAllocatedAFrame()
    {
        using var pair = new MemifPair().Connected();
        var burst = new Frame[32];
        long Round()
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 100; i++)
            {
                for (var k = 0; k < 32; k++)
                {
                    Assert.True(pair.ClientPool.TryRent(out burst[k]));
                    burst[k].HeadLength = 60;
                    burst[k].Length = 60;
                }
                if (pair.ClientQueue.Transmit(burst) != 32 || pair.ServerQueue.Receive(burst) != 32) return -1;
                if (pair.ServerQueue.Transmit(burst) != 32 || pair.ClientQueue.Receive(burst) != 32) return -1;
                for (var k = 0; k < 32; k++) pair.ClientPool.Return(burst[k]);
                pair.ClientQueue.Reclaim();
            }
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Round();
        Assert.Equal(0, Round());
    }

    [Theory]
    [InlineData("memif:/tmp/x.sock,queues=65")]
    [InlineData("memif:/tmp/x.sock,ring=1000")]
    [InlineData("memif:/tmp/x.sock,buffer=257")]
    [InlineData("memif:/tmp/x.sock,secret=1234567890123456789012345")]
    [InlineData("memif:@")]
    [InlineData("memif:/tmp/x.sock,queues=64,ring=16384,buffer=65472")]
    public void WrongLinesAreRefusedBeforeAnythingIsOpened(string line) =>
        Assert.Throws<ArgumentException>(() => LinkFactory.Open(line).Dispose());

    [Fact]
    public void LineSaysAll()
    {
        using var link = (MemifLink)LinkFactory.Open($"memif:{MemifPair.UniqueName()},server,id=7,queues=3,ring=256,buffer=4096,secret=s,mode=ip,mtu=9000,poll,unsealed");
        var o = link.Options;
        Assert.Equal((MemifRole.Server, 7u, 3, 256, 4096, "s", LinkMedium.Ip, 9000, true, true),
            (o.Role, o.Id, o.QueueCount, o.RingSize, o.BufferSize, o.Secret, o.Medium, o.Mtu, o.Polling, o.AllowUnsealed));
        Assert.Equal("memif7", link.Name);
    }
}
