using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Queues;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Queues;

/// <summary>Random segments against an array of bytes, for many seeds: overlaps of different data, exhaustion, pruning, wrap-around.</summary>
public sealed class ReassemblyModelTests
{
    private static readonly uint[] s_origins = [0, 0x7FFF_FF00, 0x8000_0000 - 700, 0xFFFF_FF80, 0xFFFF_F000, 12345];

    [Fact]
    public void ReassemblyDoesAsTheModelDoes()
    {
        for (var seed = 0; seed < 4000; seed++)
        {
            var random = new Random(seed);
            var blocks = random.Next(3) == 0 ? random.Next(1, 12) : 80;
            using var world = new OutOfOrderWorld(new QueueMemory(blockCount: blocks), random.Next(2) == 0 ? 128 : random.Next(1, 6), random);
            var run = new Run(world, random, s_origins[seed % s_origins.Length]);
            for (var step = 0; step < 80; step++)
            {
                run.Step();
                Assert.True(run.IsWhole(), $"seed {seed}, step {step}");
            }
        }
    }

    private sealed class Run
    {
        private const int SizeMax = 40_000;

        private readonly OutOfOrderWorld _world;
        private readonly Random _random;
        private readonly uint _origin;

        // What must lie at each position of the stream, and whether it is held beyond a gap.
        private readonly byte[] _bytes = new byte[SizeMax];
        private readonly bool[] _isHeld = new bool[SizeMax];

        // Positions that a segment touched, the latest last.
        private readonly List<int> _touched = [];
        private int _next;
        private int _read;
        private int _top;

        private int Held => _isHeld.AsSpan(_next, _top - _next).Count(true);

        internal Run(OutOfOrderWorld world, Random random, uint origin)
        {
            (_world, _random, _origin) = (world, random, origin);
            _world.RcvNxt = new SeqNumber(origin);
        }

        internal void Step()
        {
            switch (_random.Next(12))
            {
                case 0: Read(); break;
                case 1: Peek(); break;
                case 2 when _random.Next(4) == 0: Prune(); break;
                default: Segment(); break;
            }
        }

        internal bool IsWhole()
        {
            Assert.Equal(_origin + (uint)_next, _world.RcvNxt.Value);
            Assert.Equal((uint)(_next - _read), _world.Receive.Length(in _world.Received));
            Assert.Equal(Held, (int)_world.Queue.BytesHeld(in _world.State));
            Assert.Equal(ExpectedSack(), _world.Sack());
            return _world.Queue.Check(ref _world.State) && _world.Receive.Check(in _world.Received);
        }

        private void Segment()
        {
            var length = _random.Next(4) == 0 ? _random.Next(1, 900) : _random.Next(1, 60);
            var ahead = _random.Next(3) switch { 0 => _random.Next(-60, 60), 1 => _random.Next(0, 400), _ => _random.Next(0, 4000) };
            var at = Math.Max(0, _next + ahead);
            if (at + length >= SizeMax) return;
            _top = Math.Max(_top, at + length);
            var payload = new byte[length];
            _random.NextBytes(payload);
            if (at <= _next && at + length > _next) InOrder(at, payload);
            else Beyond(at, payload);
        }

        private void InOrder(int at, byte[] payload)
        {
            var from = _next - at;
            var free = _world.Memory.Blocks.FreeCount;
            var appended = _world.Arrive(_origin + (uint)at, payload);
            Assert.True(appended == payload.Length - from || appended >= free * 256);
            for (var i = 0; i < appended; i++)
            {
                _bytes[_next + i] = payload[from + i];
                _isHeld[_next + i] = false;
            }
            _next += appended;
            for (; _isHeld[_next]; _next++) _isHeld[_next] = false;
        }

        private void Beyond(int at, byte[] payload)
        {
            var hadRoom = _world.Memory.Blocks.FreeCount > (payload.Length / 256) + 14 && _world.IntervalCount < _world.Queue.IntervalCountMax;
            var result = _world.Insert(_origin + (uint)at, payload);
            var (stored, refused, duplicates, touched) = (0, false, 0, -1);
            for (var i = 0; i < payload.Length && !refused; i++)
            {
                var p = at + i;
                if (p < _next || _isHeld[p])
                {
                    duplicates++;
                }
                else if (stored < result.Stored)
                {
                    (_bytes[p], _isHeld[p]) = (payload[i], true);
                    stored++;
                }
                else
                {
                    refused = true;
                    break;
                }
                if (p >= _next) touched = p;
            }
            if (touched >= 0) _touched.Add(touched);
            Assert.Equal(result.Stored, stored);
            Assert.Equal(refused, result.Refusal != OutOfOrderRefusal.None);
            Assert.Equal(duplicates == payload.Length, result.IsDuplicate);
            Assert.Equal(duplicates > 0, result.HasDuplicate);
            Assert.False(refused && hadRoom, "refused although there was room");
        }

        private void Read()
        {
            var to = new byte[_random.Next(1500)];
            var count = _world.Receive.Read(ref _world.Received, to);
            Assert.Equal(Math.Min(to.Length, _next - _read), count);
            Assert.True(to.AsSpan(0, count).SequenceEqual(_bytes.AsSpan(_read, count)));
            _read += count;
        }

        private void Peek()
        {
            var cursor = default(TcpReadCursor);
            var seen = _read;
            while (_world.Receive.TryPeek(ref _world.Received, ref cursor, out var run))
            {
                Assert.True(run.SequenceEqual(_bytes.AsSpan(seen, run.Length)));
                seen += run.Length;
            }
            Assert.Equal(_next, seen);
            var count = _random.Next(_next - _read + 1);
            _world.Receive.Consume(ref _world.Received, count);
            _read += count;
        }

        private void Prune()
        {
            var most = _random.Next(2000);
            var dropped = _world.Queue.PruneTo(ref _world.State, (uint)most);
            var held = Held;
            for (var p = _top; p >= 0 && held > most; p--)
            {
                for (; p >= 0 && _isHeld[p]; p--)
                {
                    _isHeld[p] = false;
                    held--;
                    dropped--;
                }
            }
            Assert.Equal(0, dropped);
        }

        private string ExpectedSack()
        {
            var blocks = new List<string>();
            for (var i = _touched.Count - 1; i >= 0 && blocks.Count < 4; i--)
            {
                if (!_isHeld[_touched[i]]) continue;
                var (start, end) = (_touched[i], _touched[i]);
                while (start > 0 && _isHeld[start - 1]) start--;
                while (_isHeld[end]) end++;
                var block = $"{_origin + (uint)start}-{_origin + (uint)end}";
                if (!blocks.Contains(block)) blocks.Add(block);
            }
            return string.Join(' ', blocks);
        }
    }
}
