using System.Diagnostics;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Memif;

namespace Peregrine.Drivers.Tests;

/// <summary>
/// memif against another implementation: DPDK's net_memif in testpmd, which sends every frame back. As root, where Debian's dpdk-dev is
/// (eng/install-test-tools installs it); otherwise these report themselves as not run.
/// </summary>
[Collection(nameof(Alone))]
public sealed class MemifDpdkTests
{
    private const string TestPmd = "/usr/bin/dpdk-testpmd";

    [Theory]
    [InlineData(MemifRole.Client, 1, "")]
    [InlineData(MemifRole.Client, 2, "")]
    [InlineData(MemifRole.Server, 1, "")]
    [InlineData(MemifRole.Server, 2, ",rsize=6,bsize=512")]
    [InlineData(MemifRole.Client, 1, ",secret=opensesame")]
    public void FramesComeBackFromTestPmd(MemifRole ours, int queues, string more)
    {
        var path = Path.Combine(Path.GetTempPath(), $"memif-dpdk-{Environment.ProcessId}-{ours}-{queues}-{more.Length}.sock");
        var options = new MemifOptions
        {
            SocketPath = path, Role = ours, Id = 3, QueueCount = queues, RingSize = 256, BufferSize = 1_024,
            Secret = more.Contains("secret", StringComparison.Ordinal) ? "opensesame" : "",
        };
        // A DPDK client looks for its server when it starts, and not again: so a server of ours is there before.
        using var early = ours == MemifRole.Server ? MemifLink.Open(options) : null;
        using var testPmd = Start(path, ours == MemifRole.Server ? "client" : "server", queues, more);
        using var link = early ?? MemifLink.Open(options);
        var pools = Enumerable.Range(0, queues).Select(static _ => PoolFixture.Pool(4096)).ToArray();
        var queue = pools.Select((pool, i) => link.OpenQueue(i, pool)).ToArray();
        MemifPair.WaitUntil(() => link.IsUp, () => link.State + Environment.NewLine + testPmd.Output);
        for (var i = 0; i < queues; i++) Exchange(queue[i], pools[i], link.MacAddress);
        Assert.Equal(1, link.ConnectionCount);
        link.Dispose();
        foreach (var pool in pools) Assert.Equal(pool.Chunks.Count, pool.Chunks.FreeCount);
    }

    [Fact]
    public void LinkGoesDownWithTestPmdAndComesBackWithTheNext()
    {
        // An abstract name, for a killed server leaves no file behind that would be in the next one's way.
        var path = MemifPair.UniqueName();
        var pool = PoolFixture.Pool(4096);
        var options = new MemifOptions { SocketPath = path, Id = 3 };
        MemifLink link;
        ILinkQueue queue;
        using (var first = Start(path, "server", 1, ""))
        {
            link = MemifLink.Open(options);
            queue = link.OpenQueue(0, pool);
            MemifPair.WaitUntil(() => link.IsUp, () => link.State + Environment.NewLine + first.Output);
            Exchange(queue, pool, link.MacAddress);
        }
        using (link)
        {
            MemifPair.WaitUntil(() => !link.IsUp);
            using var second = Start(path, "server", 1, "");
            MemifPair.WaitUntil(() => link.IsUp, () => link.State + Environment.NewLine + second.Output);
            Exchange(queue, pool, link.MacAddress);
            Assert.Equal(2, link.ConnectionCount);
        }
        Assert.Equal(pool.Chunks.Count, pool.Chunks.FreeCount);
    }

    /// <summary>Sends frames of every length and waits for each to come back as it was.</summary>
    private static void Exchange(ILinkQueue queue, FramePool pool, Wire.MacAddress own)
    {
        var received = new Frame[32];
        var back = new Queue<byte[]>();
        void Poll()
        {
            var count = queue.Receive(received);
            foreach (var frame in received.AsSpan(0, count))
            {
                back.Enqueue(PoolFixture.Bytes(pool, frame));
                pool.Return(frame);
            }
            queue.Reclaim();
        }

        // When it starts to forward, testpmd throws away what waits: so one frame is sent again and again, until one comes back.
        var first = PoolFixture.Ethernet(Wire.MacAddress.Parse("02:00:00:00:00:77"), own, 0x88B5, PoolFixture.Pattern(50));
        MemifPair.WaitUntil(() =>
        {
            Send(queue, pool, first);
            Poll();
            return back.Count > 0;
        }, () => $"sent {queue.Counters.SentFrames}, received {queue.Counters.ReceivedFrames}");
        for (var length = 60; length <= 1_500; length += 45)
        {
            var bytes = PoolFixture.Ethernet(Wire.MacAddress.Parse("02:00:00:00:00:77"), own, 0x88B5, PoolFixture.Pattern(length, length));
            MemifPair.WaitUntil(() => Send(queue, pool, bytes));
            byte[]? got = null;
            MemifPair.WaitUntil(() =>
            {
                Poll();
                while (back.TryDequeue(out got) && got.AsSpan().SequenceEqual(first)) got = null;
                return got is not null;
            }, () => $"length {length}, sent {queue.Counters.SentFrames}, received {queue.Counters.ReceivedFrames}");
            Assert.Equal(bytes, got);
        }
        Assert.Equal(0, queue.Counters.ReceiveDroppedMalformed + queue.Counters.ReceiveErrors + queue.Counters.SendDroppedError);
    }

    private static bool Send(ILinkQueue queue, FramePool pool, byte[] bytes)
    {
        var frame = PoolFixture.Make(pool, bytes);
        if (queue.Transmit([frame]) == 1) return true;
        pool.Return(frame);
        return false;
    }

    private static TestPmdProcess Start(string socket, string role, int queues, string more)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && File.Exists(TestPmd), "not run: needs root and dpdk-testpmd (apt-get install dpdk-dev)");
        return new TestPmdProcess(
            "--no-huge", "-m", "128", "--no-pci", "--no-telemetry", "-l", "0,1", $"--file-prefix=peregrine-{Environment.ProcessId}-{role}{queues}{more.Length}",
            $"--vdev=net_memif0,role={role},id=3,socket={socket.TrimStart('@')},socket-abstract={(socket.StartsWith('@') ? "yes" : "no")}{more}",
            "--", "--forward-mode=io", "--auto-start", $"--rxq={queues}", $"--txq={queues}", "--total-num-mbufs=4096", "--no-mlockall");
    }

    /// <summary>testpmd, ended by its standard input and after a while by force.</summary>
    private sealed class TestPmdProcess : IDisposable
    {
        private readonly Process _process;
        private readonly System.Text.StringBuilder _output = new();

        public TestPmdProcess(params string[] arguments)
        {
            var start = new ProcessStartInfo(TestPmd) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (var argument in arguments) start.ArgumentList.Add(argument);
            _process = Process.Start(start)!;
            _process.OutputDataReceived += (_, line) => Add(line.Data);
            _process.ErrorDataReceived += (_, line) => Add(line.Data);
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        public string Output
        {
            get
            {
                lock (_output) return _output.ToString();
            }
        }

        public void Dispose()
        {
            if (!_process.HasExited) _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }

        private void Add(string? line)
        {
            lock (_output) _output.AppendLine(line);
        }
    }
}
