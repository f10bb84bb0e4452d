// How many frames a link moves on one core, without a stack: one process reflects, another offers a load and counts what comes back; or one
// sends and another receives. Both are this program, over any link that has a line. Not a benchmark of TCP.
using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers;

namespace Peregrine.Links.Bench;

internal static class Program
{
    private const int Burst = 64, ChunkSize = 2_048, ChunkCount = 16_384;

    // Behind the Ethernet header: a frame's number.
    private const int NumberOffset = 14;
    private const int UpWaitSeconds = 10;

    // Compiled code gets better while it runs; this long nothing is counted.
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(1);

    // In the order of Work.
    private static readonly string[] s_works = ["reflect", "load", "receive", "send"];

    // Frames on the way at most: more than a ring holds would only measure losses.
    private const int WindowMax = 512;

    private static int Main(string[] arguments)
    {
        var work = arguments.Length > 0 ? Array.IndexOf(s_works, arguments[0]) : -1;
        if (work < 0 || arguments.Length < 3 || !double.TryParse(arguments[2], CultureInfo.InvariantCulture, out var seconds))
        {
            Console.Error.WriteLine("""
                usage: links-bench reflect LINE SECONDS [CPU]
                       links-bench load    LINE SECONDS [CPU] [BYTES] [WINDOW]
                       links-bench receive LINE SECONDS [CPU]
                       links-bench send    LINE SECONDS [CPU] [BYTES]

                LINE is a link as everywhere: xdp:veth0,all  packet:veth0  tap:tap0 …
                'reflect' exchanges the addresses of every frame and sends it back; 'load' keeps WINDOW (512) frames of BYTES (64) on the way, and with
                a window of 1 says how long a frame was away;
                'send' sends as many as the link takes, and 'receive' takes what comes. A second before the SECONDS is not counted.
                Over 'memory' the other end is a thread on another CPU.
                """);
            return 2;
        }
        var cpu = arguments.Length > 3 ? int.Parse(arguments[3], CultureInfo.InvariantCulture) : -1;
        var size = arguments.Length > 4 ? int.Parse(arguments[4], CultureInfo.InvariantCulture) : 64;
        var window = arguments.Length > 5 ? Math.Clamp(int.Parse(arguments[5], CultureInfo.InvariantCulture), 1, WindowMax) : WindowMax;
        using var link = LinkFactory.Open(arguments[1]);
        using var other = link is MemoryLink memory ? new OtherEnd(memory.Peer, Opposite((Work)work), cpu, size) : null;
        if (cpu >= 0) new LinuxPlatform().PinCurrentThread(cpu);
        var frames = CreatePool();
        using var queue = link.OpenQueue(0, frames);
        if (!WaitUntilUp(link, queue, frames)) return 1;
        Run(queue, frames, TimeSpan.FromSeconds(seconds), (Work)work, size, window);
        return 0;
    }

    internal static FramePool CreatePool() =>
        new(new ChunkPool(MemoryRegion.Allocate(ChunkPool.BytesFor(ChunkSize, ChunkCount)), ChunkSize, ChunkCount, "frames"));

    private static Work Opposite(Work work) => (Work)((int)work ^ 1);

    /// <summary>A peer that is not there yet would have the first frames dropped, and its waiting would be measured.</summary>
    private static bool WaitUntilUp(ILink link, ILinkQueue queue, FramePool frames)
    {
        var start = Stopwatch.GetTimestamp();
        var burst = new Frame[1];
        while (!link.IsUp)
        {
            // A link goes over to a new peer when it is asked for frames.
            if (queue.Receive(burst) == 1) frames.Return(burst[0]);
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > UpWaitSeconds)
            {
                Console.Error.WriteLine($"links-bench: '{link.Name}' has no carrier after {UpWaitSeconds} s: start the other end");
                return false;
            }
            Thread.Sleep(1);
        }
        return true;
    }

    internal static void Run(ILinkQueue queue, FramePool frames, TimeSpan duration, Work work, int size, int window = WindowMax, CancellationToken quietly = default)
    {
        var burst = new Frame[Burst];
        var (start, cpu, before) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime, queue.Counters);
        var (next, back, lastBack, isWaiting, isWarm) = (0UL, 0UL, start, work is Work.Reflect or Work.Receive, false);
        var (turns, away, sentAt) = (new Turns(), new Turns(), start);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        while (!quietly.IsCancellationRequested)
        {
            var began = Stopwatch.GetTimestamp();
            var n = queue.Receive(burst);
            var now = Stopwatch.GetTimestamp();
            if (isWaiting)
            {
                // The time of the end that answers begins with the first frame.
                if (n == 0 && Stopwatch.GetElapsedTime(start, now) < duration + s_warmUp) continue;
                (start, isWaiting) = (now, false);
            }
            if (!isWarm && Stopwatch.GetElapsedTime(start, now) > s_warmUp)
            {
                (start, cpu, before, isWarm) = (now, Environment.CpuUsage.TotalTime, queue.Counters, true);
                turns.Clear();
                away.Clear();
                allocated = GC.GetAllocatedBytesForCurrentThread();
            }
            else if (isWarm && Stopwatch.GetElapsedTime(start, now) > duration) break;
            // A frame's number says that those before it are not on the way any more, lost or not; else one loss would narrow the window for
            // good. And after a while without any frame it is open again.
            if (n > 0) (lastBack, back) = (now, work == Work.Load ? Math.Max(back, Math.Min(next, NumberOf(frames, burst[n - 1]) + 1)) : 0);
            else if (Stopwatch.GetElapsedTime(lastBack, now).TotalMilliseconds > 10) back = next;
            if (n > 0 && window == 1 && back == next) away.Add(now - sentAt, 1);
            if (back == next) sentAt = now;
            if (work == Work.Reflect) Reflect(queue, frames, burst, n);
            else foreach (ref readonly var frame in burst.AsSpan(0, n)) frames.Return(frame);
            var sent = work switch
            {
                Work.Load => Load(queue, frames, burst, Math.Min(Burst, window - (int)(next - back)), size, next),
                Work.Send => Load(queue, frames, burst, Burst, size, next),
                _ => 0,
            };
            next += (ulong)sent;
            queue.Reclaim();
            var moved = work == Work.Send ? sent : n;
            if (moved > 0) turns.Add(Stopwatch.GetTimestamp() - began, moved);
        }
        if (quietly.CanBeCanceled) return;
        Report(turns, queue.Counters, before, Stopwatch.GetElapsedTime(start).TotalSeconds, (Environment.CpuUsage.TotalTime - cpu).TotalSeconds,
            GC.GetAllocatedBytesForCurrentThread() - allocated);
        if (away.MedianNs > 0) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"a frame was away for {away.MedianNs / 1e3:F2} us (p50)"));
    }

    private static unsafe void Reflect(ILinkQueue queue, FramePool frames, Frame[] burst, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var address = frames.Address(burst[i]);
            var (low, high) = (*(uint*)address, *(ushort*)(address + 4));
            *(uint*)address = *(uint*)(address + 6);
            *(ushort*)(address + 4) = *(ushort*)(address + 10);
            *(uint*)(address + 6) = low;
            *(ushort*)(address + 10) = high;
        }
        Send(queue, frames, burst.AsSpan(0, count));
    }

    private static int Load(ILinkQueue queue, FramePool frames, Frame[] burst, int count, int size, ulong number)
    {
        var made = 0;
        for (; made < count && frames.TryRent(out burst[made]); made++)
        {
            burst[made].Length = burst[made].HeadLength = (ushort)size;
            var bytes = frames.Head(burst[made]);
            bytes[..Math.Min(size, 64)].Clear();
            // Unicast addresses, and a type for experiments.
            (bytes[0], bytes[5], bytes[6], bytes[11], bytes[12], bytes[13]) = (2, 1, 2, 2, 0x88, 0xB5);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[NumberOffset..], number + (ulong)made);
        }
        return made == 0 ? 0 : Send(queue, frames, burst.AsSpan(0, made));
    }

    private static ulong NumberOf(FramePool frames, in Frame frame)
    {
        var bytes = frames.Head(frame);
        // The kernel sends frames of its own on some links.
        return bytes.Length >= NumberOffset + sizeof(ulong) && bytes[12] == 0x88 && bytes[13] == 0xB5 ? BinaryPrimitives.ReadUInt64LittleEndian(bytes[NumberOffset..]) : 0;
    }

    private static int Send(ILinkQueue queue, FramePool frames, Span<Frame> burst)
    {
        var taken = burst.IsEmpty ? 0 : queue.Transmit(burst);
        foreach (ref readonly var frame in burst[taken..]) frames.Return(frame);
        return taken;
    }

    /// <summary>
    /// What turns with frames take, waiting for the other end left out: the median, which a core that is shared for a while does not move.
    /// </summary>
    private sealed class Turns
    {
        private readonly float[] _perFrame = new float[1 << 20];
        private int _count;

        /// <summary>Nanoseconds a frame; 0 without any.</summary>
        public double MedianNs
        {
            get
            {
                var measured = _perFrame.AsSpan(0, Math.Min(_count, _perFrame.Length));
                measured.Sort();
                return measured.IsEmpty ? 0 : measured[measured.Length / 2] * 1e9 / Stopwatch.Frequency;
            }
        }

        public void Clear() => _count = 0;

        public void Add(long ticks, int frames) => _perFrame[_count++ & (_perFrame.Length - 1)] = (float)ticks / frames;
    }

    private static void Report(Turns turns, in LinkQueueCounters now, in LinkQueueCounters before, double seconds, double cpu, long allocated)
    {
        var (received, sent) = (now.ReceivedFrames - before.ReceivedFrames, now.SentFrames - before.SentFrames);
        var frames = Math.Max(1, Math.Max(received, sent));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"received {received / seconds / 1e6:F3} M/s, sent {sent / seconds / 1e6:F3} M/s, {cpu * 1e9 / frames:F0} ns of processor a frame, waiting included, {turns.MedianNs:F0} without, "
            + $"{(double)(now.SystemCalls - before.SystemCalls) / frames:F3} system calls a frame, {(double)allocated / frames:F3} B allocated a frame, "
            + $"dropped {now.ReceiveDroppedNoMemory - before.ReceiveDroppedNoMemory} in, {now.SendDroppedError - before.SendDroppedError} out"));
    }
}

/// <summary>What an end does. Those who belong together differ in the lowest bit.</summary>
internal enum Work
{
    Reflect,
    Load,
    Receive,
    Send,
}

/// <summary>The other end of a link in memory, on a thread of its own.</summary>
internal sealed class OtherEnd : IDisposable
{
    private readonly CancellationTokenSource _end = new();
    private readonly Thread _thread;

    public OtherEnd(MemoryLink link, Work work, int cpu, int size)
    {
        var frames = Program.CreatePool();
        var queue = link.OpenQueue(0, frames);
        _thread = new Thread(() =>
        {
            if (cpu >= 0) new LinuxPlatform().PinCurrentThread((cpu + 1) % Environment.ProcessorCount);
            Program.Run(queue, frames, TimeSpan.FromDays(1), work, size, quietly: _end.Token);
        });
        _thread.Start();
    }

    public void Dispose()
    {
        _end.Cancel();
        _thread.Join();
        _end.Dispose();
    }
}
