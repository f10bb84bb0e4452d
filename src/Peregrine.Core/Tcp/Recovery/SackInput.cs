// An ACK's SACK blocks: the duplicate that the first one may report (RFC 2883), and what of the others means something (RFC 2018).
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class SackInput(Scoreboard board)
{
    private readonly Scoreboard _board = board;

    internal void Take(in Tcb c, ref RecoveryState r, in TcpOptions options, ref Delivery d, ref TcpExtCounters counters)
    {
        var blocks = options.SackBlocks;
        var first = 0;
        // RFC 2883 §4: the first block is a duplicate when it lies below the ACK, or within the second block.
        if (blocks[0].Left.IsBefore(blocks[0].Right)
            && (blocks[0].Right.IsBeforeOrEqual(c.Snd.Una)
                || (blocks.Length > 1 && !blocks[0].Left.IsBefore(blocks[1].Left) && !blocks[0].Right.IsAfter(blocks[1].Right))))
        {
            // What a peer may say of bytes that it cannot have had at once is bounded by what it may have had.
            d.DuplicateBytes = Math.Min((uint)(blocks[0].Right - blocks[0].Left), Math.Max(c.Snd.WndMax, ushort.MaxValue));
            d.DuplicateEnd = blocks[0].Right;
            counters.TCPDSACKRecv++;
            counters.TCPDSACKRecvSegs += SegmentCount.Of(d.DuplicateBytes, Math.Max(d.Mss, 1));
            if (blocks[0].Right.IsAfter(c.Snd.Una)) counters.TCPDSACKOfoRecv++;
            first = 1;
        }
        for (var i = first; i < blocks.Length; i++)
        {
            var (left, right) = (SeqNumber.Max(blocks[i].Left, c.Snd.Una), blocks[i].Right);
            // Blocks that are empty, turned round, old, or beyond what was sent mean nothing.
            if (!blocks[i].Left.IsBefore(right) || right.IsAfter(c.Snd.Max))
            {
                counters.TCPSACKDiscard++;
                continue;
            }
            if (!left.IsBefore(right)) continue;
            _board.Sack(ref r, left, right, Math.Max(c.Mss, (ushort)1), ref d);
        }
    }
}
