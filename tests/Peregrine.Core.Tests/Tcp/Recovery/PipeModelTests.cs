using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class PipeModelTests
{
    private const int Mss = (int)RecoveryBench.Mss;

    private static readonly uint[] s_starts = [1, 0x7FFF_F000, 0x7FFF_C000, 0xFFFF_FC00, 0xFFFF_8000, 0x8000_0000];

    [Fact]
    // Random losses of data and ACKs, super-segments, reordering; numbers that pass 2³¹ and 2³².
    public void PipeAndNextSegAgreeWithTheRfcTakenLiterally()
    {
        var recoveries = 0;
        for (var seed = 0; seed < 3000; seed++)
        {
            using var world = new World(seed, s_starts[seed % s_starts.Length]);
            recoveries += world.Run();
        }
        Assert.True(recoveries > 3000, $"only {recoveries} recoveries were seen");
    }

    private sealed class World : IDisposable
    {
        private readonly Random _random;
        private readonly RecoveryBench _b;
        private readonly PipeModel _model = new();
        private readonly bool[] _received = new bool[400];
        private readonly List<int> _network = [];
        private readonly List<(int Left, int Right)> _recent = [];
        private readonly double _loss;
        private readonly int _total;
        private readonly string _name;
        private int _recoveries;

        internal World(int seed, uint first)
        {
            _random = new Random(seed);
            _name = $"seed {seed}";
            _loss = _random.NextDouble() * 0.3;
            _total = 40 + _random.Next(300);
            var algorithm = seed % 2 == 0 ? CongestionAlgorithm.Cubic : CongestionAlgorithm.NewReno;
            _b = new RecoveryBench(algorithm: algorithm, first: first, records: 2000, cwnd: (uint)(_random.Next(5, 60) * Mss));
        }

        internal int Run()
        {
            for (var step = 0; step < 3000 && _model.Una < _total; step++)
            {
                Fill();
                if (_network.Count == 0) break;
                Deliver();
            }
            return _recoveries;
        }

        private void Fill()
        {
            Queue();
            while (true)
            {
                var hasNewData = _model.Max < _total;
                var next = _b.Peek();
                if (_model.InRecovery && (_b.K.Recovery.Flags & RecoveryFlags.RetransmitHead) == 0 && _b.C.Cwnd >= _b.Pipe + Mss)
                    Assert.True(next?.Seq / Mss == _model.NextSeg(hasNewData), $"{_name}: {next} and {_model.NextSeg(hasNewData)}");
                if (next is null) break;
                if ((_b.K.Recovery.Flags & RecoveryFlags.RetransmitHead) == 0) _model.Retransmit((int)next.Value.Seq / Mss, hasNewData);
                _b.Retransmit();
                Put((int)next.Value.Seq / Mss);
                Compare();
            }
            while (_model.Max < _total && _b.Allowance >= Mss)
            {
                var cells = Math.Min(Math.Min(1 + _random.Next(4), (int)_b.Allowance / Mss), _total - _model.Max);
                for (var i = 0; i < cells; i++) Put(_model.Max + i);
                Assert.True(_b.Send((uint)(cells * Mss)));
                _model.Send(cells);
                Queue();
                Compare();
            }
        }

        private void Queue() => _b.C.Snd.QueueEnd = _b.C.Snd.Max + (uint)((_total - _model.Max) * Mss);

        private void Put(int cell)
        {
            if (_random.NextDouble() >= _loss) _network.Add(cell);
        }

        private void Deliver()
        {
            // Mostly in order, at times not.
            var at = _random.Next(10) == 0 ? _random.Next(Math.Min(6, _network.Count)) : 0;
            var cell = _network[at];
            _network.RemoveAt(at);
            _received[cell] = true;
            var ack = Array.IndexOf(_received, false);
            NoteBlock(cell, ack);
            if (_random.Next(8) == 0) return;
            var blocks = _recent.Take(3).ToArray();
            _b.PassMs(1);
            var sample = _b.Ack((uint)(ack * Mss), [.. blocks.Select(x => ((uint)(x.Left * Mss), (uint)(x.Right * Mss)))]);
            var entered = _model.Ack(ack, blocks);
            Assert.True(entered == sample.EnteredRecovery, $"{_name}: entry");
            if (entered) _recoveries++;
            Compare();
        }

        // RFC 2018 §4: the block with the newest segment first, then those reported before.
        private void NoteBlock(int cell, int ack)
        {
            if (cell >= ack)
            {
                int left = cell, right = cell + 1;
                while (left > ack && _received[left - 1]) left--;
                while (_received[right]) right++;
                _recent.RemoveAll(x => x.Left >= left && x.Right <= right);
                _recent.Insert(0, (left, right));
            }
            _recent.RemoveAll(x => x.Right <= ack);
        }

        private void Compare()
        {
            Assert.Equal(_model.Una * Mss, (int)_b.Una);
            Assert.Equal(_model.SackedCount * Mss, (int)_b.K.Recovery.SackedBytes);
            Assert.True(_model.InRecovery == (_b.Phase == RecoveryPhase.Recovery), $"{_name}: phase");
            // On entry the model counts the first retransmission, which is still to be made here.
            if ((_b.K.Recovery.Flags & RecoveryFlags.RetransmitHead) != 0) return;
            Assert.True(_model.Pipe() * Mss == (int)_b.Pipe, $"{_name}: pipe {_model.Pipe() * Mss} and {_b.Pipe}");
        }

        public void Dispose() => _b.Dispose();
    }
}
