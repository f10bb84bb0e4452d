using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Queues;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Queues;

public sealed class SendQueueTests
{
    [Fact]
    public void StatesKeepTheirSizes()
    {
        Assert.Equal(28, Unsafe.SizeOf<SendQueueState>());
        Assert.Equal(16, Unsafe.SizeOf<ReceiveQueueState>());
        Assert.Equal(4, Unsafe.SizeOf<OutOfOrderState>());
    }

    [Fact]
    public void WriteStopsAtTheLimitAndAtAnEmptyPool()
    {
        using var memory = new QueueMemory(blockCount: 2);
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        Assert.Equal(100, queue.Write(ref q, new byte[400], 100));
        Assert.Equal(0, queue.Write(ref q, new byte[400], 100));
        Assert.Equal(0, queue.Write(ref q, new byte[400], 50));
        Assert.Equal(412, queue.Write(ref q, new byte[600], 10_000));
        Assert.Equal(512u, queue.Length(in q));
        Assert.Equal(0, queue.Write(ref q, new byte[1], 10_000));
        queue.Release(ref q);
        Assert.Equal(0, memory.BlocksHeld);
    }

    [Fact]
    public void AcknowledgedBlocksAreFreedAndAnEmptyQueueHoldsNone()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        queue.Write(ref q, new byte[700], 1000);
        Assert.Equal(3, memory.BlocksHeld);
        queue.Acknowledge(ref q, 255);
        Assert.Equal(3, memory.BlocksHeld);
        queue.Acknowledge(ref q, 1);
        Assert.Equal(2, memory.BlocksHeld);
        queue.Acknowledge(ref q, 444);
        Assert.Equal(0, memory.BlocksHeld);
        Assert.True(queue.Check(in q));
    }

    [Fact]
    public void RetransmissionLeavesTheForwardCursorWhereItIs()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        queue.Write(ref q, QueueMemory.Bytes(256 * 8, 1), 10_000);
        var to = new byte[100];
        queue.CopyOut(ref q, 256 * 6, to, false);
        var forward = q.ForwardBlock;
        Assert.Equal(256u * 6, memory.Blocks.Note(forward).Tag);
        queue.CopyOut(ref q, 0, to, false);
        queue.CopyOut(ref q, 256 * 2, to, false);
        Assert.Equal(forward, q.ForwardBlock);
        Assert.Equal(256u * 2, memory.Blocks.Note(q.BackwardBlock).Tag);
        queue.Acknowledge(ref q, (256 * 4) + 10);
        Assert.Equal(forward, q.ForwardBlock);
        Assert.Equal(q.Head, q.BackwardBlock);
        queue.Acknowledge(ref q, 256 * 3);
        Assert.Equal(q.Head, q.ForwardBlock);
        Assert.True(queue.Check(in q));
        queue.Release(ref q);
    }

    [Fact]
    public void RetransmissionGoesOnFromWhereItWasAndNotFromTheHead()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        var data = QueueMemory.Bytes(256 * 8, 1);
        queue.Write(ref q, data, 10_000);
        var to = new byte[100];
        queue.CopyOut(ref q, 256 * 7, to, false);
        queue.CopyOut(ref q, 256 * 3, to, false);
        // Who walks from the head now meets a block with other bytes at the position that is asked for.
        Assert.True(memory.Blocks.TryRent(out var decoy));
        var next = memory.Blocks.Note(q.Head).Next;
        (memory.Blocks.Note(decoy).Tag, memory.Blocks.Note(decoy).Length) = (256 * 4, 256);
        memory.Blocks.Note(q.Head).Next = decoy;
        queue.CopyOut(ref q, 256 * 4, to, false);
        Assert.Equal(data[(256 * 4)..((256 * 4) + 100)], to);
        queue.CopyOut(ref q, (256 * 7) + 100, to, false);
        Assert.Equal(data[((256 * 7) + 100)..((256 * 7) + 200)], to);
        memory.Blocks.Note(q.Head).Next = next;
        memory.Blocks.Return(decoy);
        Assert.True(queue.Check(in q));
        queue.Release(ref q);
        Assert.Equal(0, memory.BlocksHeld);
    }

    [Fact]
    public void ReservedRoomOutlivesTheAcknowledgementOfItsBlock()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        queue.Write(ref q, new byte[10], 1000);
        var room = queue.Reserve(ref q, 100, 1000);
        Assert.Equal(246, room.Length);
        queue.Acknowledge(ref q, 10);
        Assert.Equal(1, memory.BlocksHeld);
        // Whoever rents now must not be given the memory that is being written.
        Assert.True(memory.Blocks.TryRent(out var other));
        Assert.NotEqual(q.ReservedBlock, other);
        room[..3].Fill(7);
        Assert.Equal(3, queue.Commit(ref q, 3));
        var to = new byte[3];
        queue.CopyOut(ref q, 0, to, false);
        Assert.Equal([7, 7, 7], to);
        queue.Acknowledge(ref q, 3);
        memory.Blocks.Return(other);
        Assert.Equal(0, memory.BlocksHeld);
    }

    [Fact]
    public void BytesWrittenDuringAReservationComeBeforeTheCommittedOnes()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        queue.Write(ref q, "ab"u8, 1000);
        var room = queue.Reserve(ref q, 4, 1000);
        "xyz!"u8.CopyTo(room);
        queue.Write(ref q, "cd"u8, 1000);
        Assert.Equal(4, queue.Commit(ref q, 4));
        var to = new byte[8];
        queue.CopyOut(ref q, 0, to, false);
        Assert.Equal("abcdxyz!"u8.ToArray(), to);
        queue.Release(ref q);
        Assert.Equal(0, memory.BlocksHeld);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void ReservationWithoutUseHoldsNoBlockAfterItIsGivenUp()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        Assert.Equal(256, queue.Reserve(ref q, 0, 1000).Length);
        Assert.True(queue.HasReservation(in q));
        Assert.Equal(0, queue.Commit(ref q, 0));
        Assert.Equal(0, memory.BlocksHeld);
        Assert.True(queue.Reserve(ref q, 10, 0).IsEmpty);
        Assert.Equal(0, memory.BlocksHeld);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var p = default(SendQueueState);
            queue.Commit(ref p, 1);
        });
    }

    [Fact]
    public void LittleThatWasReservedInABlockOfItsOwnMovesToTheLastOne()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        var q = default(SendQueueState);
        queue.Write(ref q, QueueMemory.Bytes(200, 3), 1000);
        for (var i = 0; i < 10; i++)
        {
            queue.Reserve(ref q, 100, 1000)[..5].Fill((byte)i);
            Assert.Equal(5, queue.Commit(ref q, 5));
        }
        Assert.Equal(1, memory.BlocksHeld);
        Assert.Equal(250u, queue.Length(in q));
        queue.Release(ref q);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void CopyOutOfWhatIsNotThereIsRefused()
    {
        using var memory = new QueueMemory();
        var queue = new SendQueue(memory.Blocks);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var q = default(SendQueueState);
            queue.Write(ref q, new byte[10], 1000);
            queue.CopyOut(ref q, 5, new byte[6], false);
        });
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var q = default(SendQueueState);
            queue.CopyOut(ref q, uint.MaxValue, new byte[1], false);
        });
    }

    [Fact]
    public void QueueDoesAsTheModelDoes()
    {
        for (var seed = 0; seed < 3000; seed++) CheckSeed(seed);
    }

    private static void CheckSeed(int seed)
    {
        var random = new Random(seed);
        using var memory = new QueueMemory(blockCount: random.Next(2, 24));
        var run = new SendRun(memory, random);
        for (var i = 0; i < 120; i++)
        {
            run.Step();
            Assert.True(run.IsWhole, $"seed {seed}, step {i}");
        }
        run.End();
        Assert.True(memory.BlocksHeld == 0, $"seed {seed}: {memory.BlocksHeld} blocks are left");
    }

    /// <summary>A queue beside a list of bytes, which says what must be in it.</summary>
    private sealed class SendRun(QueueMemory memory, Random random)
    {
        private readonly SendQueue _queue = new(memory.Blocks);
        private readonly List<byte> _model = [];
        private readonly int _limit = random.Next(1, 4000);
        private SendQueueState _q;
        private byte[] _reserved = [];
        private bool _wroteSince;

        internal bool IsWhole => _queue.Check(in _q) && _queue.Length(in _q) == _model.Count;

        internal void Step()
        {
            switch (random.Next(8))
            {
                case 0: Write(); break;
                case 1: Reserve(); break;
                case 2: Commit(); break;
                case 3: Acknowledge(); break;
                case 4: Gather(); break;
                default: CopyOut(); break;
            }
        }

        internal void End()
        {
            if (random.Next(2) == 0)
            {
                _queue.Release(ref _q);
                return;
            }
            _queue.Commit(ref _q, 0);
            _queue.Acknowledge(ref _q, (uint)_model.Count);
        }

        private void Write()
        {
            var data = new byte[random.Next(900)];
            random.NextBytes(data);
            var taken = _queue.Write(ref _q, data, _limit);
            var most = Math.Min(data.Length, Math.Max(0, _limit - _model.Count));
            Assert.True(taken == most || (taken < most && memory.Blocks.FreeCount <= BlockPressure.ReceiveReserve(memory.Blocks)));
            _model.AddRange(data.AsSpan(0, taken));
            _wroteSince |= taken > 0;
        }

        private void Reserve()
        {
            var hint = random.Next(300);
            var room = _queue.Reserve(ref _q, hint, _limit);
            if (room.IsEmpty)
            {
                Assert.True(memory.Blocks.FreeCount <= BlockPressure.ReceiveReserve(memory.Blocks) || _model.Count >= _limit);
                if (!_queue.HasReservation(in _q)) _reserved = [];
                return;
            }
            Assert.True(room.Length >= Math.Min(Math.Min(hint, memory.Blocks.ChunkSize), _limit - _model.Count));
            Assert.True(room.Length <= _limit - _model.Count);
            random.NextBytes(room);
            _reserved = room.ToArray();
            _wroteSince = false;
        }

        private unsafe void Commit()
        {
            if (!_queue.HasReservation(in _q)) return;
            var room = new ReadOnlySpan<byte>(memory.Blocks.Address(_q.ReservedBlock) + _q.ReservedStart, _reserved.Length);
            Assert.True(room.SequenceEqual(_reserved), "reserved room was touched");
            var count = random.Next(_reserved.Length + 1);
            var committed = _queue.Commit(ref _q, count);
            Assert.True(committed == count || (_wroteSince && committed < count && memory.Blocks.FreeCount <= BlockPressure.ReceiveReserve(memory.Blocks)));
            _model.AddRange(_reserved.AsSpan(0, committed));
            Assert.False(_queue.HasReservation(in _q));
        }

        private void Acknowledge()
        {
            var count = random.Next(4) == 0 ? _model.Count : random.Next(_model.Count + 1);
            _queue.Acknowledge(ref _q, (uint)count);
            _model.RemoveRange(0, count);
        }

        private unsafe void Gather()
        {
            if (_model.Count == 0) return;
            var offset = random.Next(_model.Count);
            var length = random.Next(1, _model.Count - offset + 1);
            var pieces = new FramePiece[random.Next(20)];
            var count = _queue.Gather(ref _q, (uint)offset, length, pieces);
            if (count == 0)
            {
                // One piece a block, so a shorter run fits.
                Assert.True(length > pieces.Length);
                return;
            }
            var gathered = new List<byte>();
            foreach (var piece in pieces.AsSpan(0, count)) gathered.AddRange(new ReadOnlySpan<byte>(piece.Address, (int)piece.Length));
            Assert.Equal(_model.GetRange(offset, length), gathered);
        }

        private void CopyOut()
        {
            var offset = random.Next(_model.Count + 1);
            var to = new byte[random.Next(_model.Count - offset + 1)];
            var sum = _queue.CopyOut(ref _q, (uint)offset, to, sum: true);
            var expected = _model.GetRange(offset, to.Length).ToArray();
            Assert.Equal(expected, to);
            Assert.Equal(InternetChecksum.Finish(InternetChecksum.Sum(expected)), InternetChecksum.Finish(sum));
            Array.Clear(to);
            Assert.Equal(0u, _queue.CopyOut(ref _q, (uint)offset, to, sum: false));
            Assert.Equal(expected, to);
        }
    }
}
