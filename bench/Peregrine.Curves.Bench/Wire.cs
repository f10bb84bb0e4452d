// A wire in real time between network namespaces: what comes in at one port goes out at another later, at a rate, through a queue, with losses
// and reordering from a seed. Clients' ports lead to the server's; the way back is found by the address that a client sent from.
using System.Diagnostics;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers;

namespace Peregrine.Curves.Bench;

/// <summary>What the wire does; each way by itself, but losses, which are data's only: on the way to the server.</summary>
internal sealed record WireOptions(double RttMs, double RateMbps, int QueueFrames, double LossPercent, double ReorderPercent, int Seed);

internal sealed partial class Wire
{
    private const int ChunkSize = 2_048, ChunkCount = 8_192, Burst = 64, SourceAddressOffset = 6, AddressLength = 6;

    // Of what is reordered: a quarter of the round trip later, and two milliseconds at the least.
    private const double ReorderShare = 0.25, ReorderMsMin = 2;

    private readonly ILinkQueue[] _ports;
    private readonly FramePool _frames;
    private readonly Dictionary<ulong, int> _portOf = [];
    private readonly Lane _up, _down;
    private readonly Frame[] _burst = new Frame[Burst];

    /// <summary>Opens the devices; the last is the server's.</summary>
    internal Wire(WireOptions options, IReadOnlyList<string> devices)
    {
        _frames = new FramePool(new ChunkPool(MemoryRegion.Allocate(ChunkPool.BytesFor(ChunkSize, ChunkCount)), ChunkSize, ChunkCount, "frames"));
        _ports = [.. devices.Select(device => LinkFactory.Open("packet:" + device).OpenQueue(0, _frames))];
        _up = new Lane(options, _frames, options.Seed);
        _down = new Lane(options with { LossPercent = 0, ReorderPercent = 0 }, _frames, options.Seed + 1);
    }

    /// <summary>Runs until the process is ended.</summary>
    internal void Run()
    {
        while (true)
        {
            var busy = false;
            for (var port = 0; port < _ports.Length; port++) busy |= Take(port);
            busy |= _up.Deliver(_ports) | _down.Deliver(_ports);
            // Sleeping longer would be a jitter of its own; less would take a processor that both ends want.
            if (!busy) _ = Sleep(50);
        }
    }

    private bool Take(int port)
    {
        var server = _ports.Length - 1;
        var count = _ports[port].Receive(_burst);
        for (var i = 0; i < count; i++)
        {
            var head = _frames.Head(_burst[i]);
            if (port != server)
            {
                _portOf[Address(head, SourceAddressOffset)] = port;
                _up.Put(_burst[i], server);
                continue;
            }
            if (_portOf.TryGetValue(Address(head, 0), out var to)) _down.Put(_burst[i], to);
            // A broadcast: address resolution, for who has spoken last.
            else if (server == 1) _down.Put(_burst[i], 0);
            else _frames.Return(_burst[i]);
        }
        return count > 0;
    }

    private static ulong Address(ReadOnlySpan<byte> head, int offset)
    {
        var address = 0ul;
        foreach (var b in head.Slice(offset, AddressLength)) address = (address << 8) | b;
        return address;
    }

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    // One way: the rate's queue, then the delay.
    private sealed class Lane(WireOptions options, FramePool frames, int seed)
    {
        private readonly PriorityQueue<(Frame Frame, int Port), (long At, long Order)> _onTheWay = new();
        private readonly Random _random = new(seed);
        private readonly double _ticksPerByte = Stopwatch.Frequency * 8 / (options.RateMbps * 1e6);
        private readonly long _delay = Ticks(options.RttMs / 2);
        private readonly long _late = Ticks(Math.Max(options.RttMs * ReorderShare, ReorderMsMin));
        private double _freeAt;
        private long _order;

        internal void Put(in Frame frame, int port)
        {
            double now = Stopwatch.GetTimestamp();
            var time = _ticksPerByte * frame.Length;
            // The queue is full by the time that whole frames of 1,514 bytes take.
            var isFull = _freeAt - now > options.QueueFrames * _ticksPerByte * 1_514;
            if (_random.NextDouble() * 100 < options.LossPercent || isFull)
            {
                frames.Return(frame);
                return;
            }
            _freeAt = Math.Max(_freeAt, now) + time;
            var at = (long)_freeAt + _delay;
            if (_random.NextDouble() * 100 < options.ReorderPercent) at += _late;
            _onTheWay.Enqueue((frame, port), (at, _order++));
        }

        internal bool Deliver(ILinkQueue[] ports)
        {
            var any = false;
            while (_onTheWay.TryPeek(out var next, out var key) && key.At <= Stopwatch.GetTimestamp())
            {
                if (ports[next.Port].Transmit([next.Frame]) == 0) return any;
                _onTheWay.Dequeue();
                any = true;
            }
            foreach (var port in ports) port.Reclaim();
            return any;
        }

        private static long Ticks(double milliseconds) => (long)(milliseconds * Stopwatch.Frequency / 1_000);
    }
}
