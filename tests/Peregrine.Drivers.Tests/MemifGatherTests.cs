using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Memif;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>Segments whose payload memif gathers from the sender's own memory, into one buffer or several, with the checksum made on the way.</summary>
public sealed class MemifGatherTests
{
    private const int Start = 34, Field = 16, HeaderLength = 66;

    private static readonly int[][] s_shapes = [[1_448], [1, 1_447], [700, 748], [333, 1, 13, 700], [7, 9], [1]];

    [Theory]
    [InlineData(2_048, true)]
    [InlineData(2_048, false)]
    [InlineData(256, true)]
    [InlineData(256, false)]
    public unsafe void GatheredSegmentsArriveWithTheirChecksumFinished(int bufferSize, bool fromClient)
    {
        using var pair = new MemifPair(new MemifOptions { BufferSize = bufferSize, RingSize = 32 }).Connected();
        var (from, fromPool, to, toPool) = fromClient
            ? (pair.ClientQueue, pair.ClientPool, pair.ServerQueue, pair.ServerPool)
            : (pair.ServerQueue, pair.ServerPool, pair.ClientQueue, pair.ClientPool);
        var got = new Frame[1];
        for (var round = 0; round < 20; round++)
        {
            var shape = s_shapes[round % s_shapes.Length];
            var payload = PoolFixture.Pattern(shape.Sum(), round + 1);
            fixed (byte* at = payload)
            {
                // Kept is what a ring that was full has made of it, chained what a pool of smaller chunks makes of that.
                foreach (var keeping in (int[])[0, 1, 2])
                {
                    var frame = Segment(fromPool, at, shape, round, out var expected, keeping == 2 ? 2_048 - HeaderLength : FramePool.Headroom);
                    if (keeping > 0) Assert.True(fromPool.TryKeep(ref frame));
                    Assert.Equal((keeping == 0, keeping != 1), ((frame.Flags & FrameFlags.Gathered) != 0, frame.IsChained));
                    Assert.Equal(1, from.Transmit([frame]));
                    Assert.Equal(1, to.Receive(got));
                    Assert.Equal(expected, PoolFixture.Bytes(toPool, got[0]));
                    toPool.Return(got[0]);
                    from.Reclaim();
                }
            }
        }
        pair.CloseWithoutLeak();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public unsafe void ASegmentThatFindsTooFewBuffersComesAgainAsItWas(bool fromClient)
    {
        using var pair = new MemifPair(new MemifOptions { BufferSize = 256, RingSize = 8 }).Connected();
        var (from, fromPool, to, toPool) = fromClient
            ? (pair.ClientQueue, pair.ClientPool, pair.ServerQueue, pair.ServerPool)
            : (pair.ServerQueue, pair.ServerPool, pair.ClientQueue, pair.ClientPool);
        var payload = PoolFixture.Pattern(1_448);
        var got = new Frame[2];
        fixed (byte* at = payload)
        {
            Frame[] frames = [Segment(fromPool, at, [1_448], 1, out var first), Segment(fromPool, at, [1_000, 448], 2, out var second)];
            Assert.Equal(1, from.Transmit(frames));
            Assert.Equal(0, from.Transmit(frames.AsSpan(1)));
            foreach (var expected in (byte[][])[first, second])
            {
                Assert.Equal(1, to.Receive(got));
                Assert.Equal(expected, PoolFixture.Bytes(toPool, got[0]));
                toPool.Return(got[0]);
                to.Receive(got.AsSpan(1));
                if (ReferenceEquals(expected, first)) Assert.Equal(1, from.Transmit(frames.AsSpan(1)));
            }
        }
        pair.CloseWithoutLeak();
    }

    /// <summary>A segment whose payload lies outside of the pool, in pieces; and what must arrive.</summary>
    private static unsafe Frame Segment(FramePool pool, byte* payload, int[] shape, int number, out byte[] expected, int headroom = FramePool.Headroom)
    {
        var headers = PoolFixture.Pattern(HeaderLength, 100 + number);
        // The pseudo-header's sum.
        (headers[Start + Field], headers[Start + Field + 1]) = (0x12, (byte)number);
        var length = shape.Sum();
        expected = [.. headers, .. new ReadOnlySpan<byte>(payload, length)];
        InternetChecksum.Store(expected.AsSpan(Start + Field), InternetChecksum.Sum(expected.AsSpan(Start)));
        var frame = PoolFixture.Make(pool, headers, headroom);
        var room = pool.PieceRoom(frame);
        for (int i = 0, at = 0; i < shape.Length; at += shape[i++]) room[i] = new FramePiece { Address = payload + at, Length = (nuint)shape[i] };
        pool.SetPieces(ref frame, shape.Length, length);
        frame.Flags |= FrameFlags.ChecksumUnfinished;
        (frame.ChecksumStart, frame.ChecksumOffset) = (Start, Field);
        return frame;
    }
}
