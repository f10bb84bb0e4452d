// How many frames a link moves on one core, without a stack: one process reflects, another offers a load and counts what comes back.
// Both are this program, over any link that has a line. Not a benchmark of TCP.
using System.Diagnostics;
using System.Globalization;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers;

namespace Peregrine.Links.Bench;

internal static class Program
{
    private const int Burst = 64, ChunkSize = 2_048, ChunkCount = 16_384;

    // Frames on the way at most: more than a ring holds would only measure losses.
    private const int WindowMax = 512;

    private static int Main(string[] arguments)
    {
        if (arguments.Length < 3 || !double.TryParse(arguments[2], CultureInfo.InvariantCulture, out var seconds) || arguments[0] is not ("reflect" or "load"))
        {
            Console.Error.WriteLine("""
                usage: links-bench reflect LINE SECONDS [CPU]
                       links-bench load    LINE SECONDS [CPU] [BYTES]

                LINE is a link as everywhere: xdp:veth0,all  packet:veth0  tap:tap0 …
                'reflect' exchanges the addresses of every frame and sends it back; 'load' keeps 512 frames of BYTES (64) on the way.
                """);
            return 2;
        }
        if (arguments.Length > 3) new LinuxPlatform().PinCurrentThread(int.Parse(arguments[3], CultureInfo.InvariantCulture));
        var size = arguments.Length > 4 ? int.Parse(arguments[4], CultureInfo.InvariantCulture) : 64;
        using var link = LinkFactory.Open(arguments[1]);
        var frames = new FramePool(new ChunkPool(MemoryRegion.Allocate(ChunkPool.BytesFor(ChunkSize, ChunkCount)), ChunkSize, ChunkCount, "frames"));
        using var queue = link.OpenQueue(0, frames);
        Run(queue, frames, TimeSpan.FromSeconds(seconds), arguments[0] == "load" ? size : 0);
        return 0;
    }

    private static void Run(ILinkQueue queue, FramePool frames, TimeSpan duration, int size)
    {
        var burst = new Frame[Burst];
        var (start, cpu, before) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime, queue.Counters);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var (onTheWay, lastBack) = (0, start);
        while (true)
        {
            var n = queue.Receive(burst);
            var now = Stopwatch.GetTimestamp();
            if (Stopwatch.GetElapsedTime(start, now) > duration) break;
            if (size == 0) Reflect(queue, frames, burst, n);
            else
            {
                foreach (ref readonly var frame in burst.AsSpan(0, n)) frames.Return(frame);
                if (n > 0) lastBack = now;
                // Frames that were lost do not come back: after a while without any, the window is open again.
                onTheWay = Stopwatch.GetElapsedTime(lastBack, now).TotalMilliseconds > 10 ? 0 : Math.Max(0, onTheWay - n);
                onTheWay += Load(queue, frames, burst, Math.Min(Burst, WindowMax - onTheWay), size);
            }
            queue.Reclaim();
        }
        Report(queue.Counters, before, Stopwatch.GetElapsedTime(start).TotalSeconds, (Environment.CpuUsage.TotalTime - cpu).TotalSeconds,
            GC.GetAllocatedBytesForCurrentThread() - allocated);
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

    private static int Load(ILinkQueue queue, FramePool frames, Frame[] burst, int count, int size)
    {
        var made = 0;
        for (; made < count && frames.TryRent(out burst[made]); made++)
        {
            burst[made].Length = burst[made].HeadLength = (ushort)size;
            var bytes = frames.Head(burst[made]);
            bytes.Clear();
            // Unicast addresses, and a type for experiments.
            (bytes[0], bytes[5], bytes[6], bytes[11], bytes[12], bytes[13]) = (2, 1, 2, 2, 0x88, 0xB5);
        }
        return made == 0 ? 0 : Send(queue, frames, burst.AsSpan(0, made));
    }

    private static int Send(ILinkQueue queue, FramePool frames, Span<Frame> burst)
    {
        var taken = burst.IsEmpty ? 0 : queue.Transmit(burst);
        foreach (ref readonly var frame in burst[taken..]) frames.Return(frame);
        return taken;
    }

    private static void Report(in LinkQueueCounters now, in LinkQueueCounters before, double seconds, double cpu, long allocated)
    {
        var (received, sent) = (now.ReceivedFrames - before.ReceivedFrames, now.SentFrames - before.SentFrames);
        var frames = Math.Max(1, Math.Max(received, sent));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"received {received / seconds / 1e6:F3} M/s, sent {sent / seconds / 1e6:F3} M/s, {cpu * 1e9 / frames:F0} ns of processor a frame, "
            + $"{(double)(now.SystemCalls - before.SystemCalls) / frames:F3} system calls a frame, {(double)allocated / frames:F3} B allocated a frame, "
            + $"dropped {now.ReceiveDroppedNoMemory - before.ReceiveDroppedNoMemory} in, {now.SendDroppedError - before.SendDroppedError} out"));
    }
}
