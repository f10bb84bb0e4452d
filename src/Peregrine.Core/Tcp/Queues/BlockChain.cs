// Chains of blocks that hold received bytes: joining two, cutting the front. Each chain is dense: any two neighbours hold more bytes than
// one block has room for (the first block of a chain that is being read from is the exception), so n bytes lie in at most 2n/size + 1 blocks
// however small the segments were that brought them.
using System.Diagnostics;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>What receive queues and out-of-order intervals do with their blocks.</summary>
internal static unsafe class BlockChain
{
    /// <summary>
    /// Puts one chain behind another, without copying but for the joint: where the second's first block fits into the first's last one,
    /// its bytes move there and it is returned.
    /// </summary>
    /// <param name="blocks">The pool.</param>
    /// <param name="tail">Last block of the first chain; becomes the last of both.</param>
    /// <param name="head2">First block of the second chain.</param>
    /// <param name="tail2">Last block of the second chain.</param>
    /// <returns>Whether a block was returned.</returns>
    internal static bool Join(ChunkPool blocks, ref uint tail, uint head2, uint tail2)
    {
        ref var last = ref blocks.Note(tail);
        ref var first = ref blocks.Note(head2);
        var end = last.Start + last.Length;
        if (first.Length > blocks.ChunkSize - end)
        {
            MoveToFront(blocks, head2);
            last.Next = head2;
            tail = tail2;
            return false;
        }
        Buffer.MemoryCopy(blocks.Address(head2) + first.Start, blocks.Address(tail) + end, first.Length, first.Length);
        last.Length += first.Length;
        last.Next = first.Next;
        if (head2 != tail2) tail = tail2;
        blocks.Return(head2);
        return true;
    }

    /// <summary>Drops bytes from the front of a chain that has more, and leaves it dense.</summary>
    internal static void CutFront(ChunkPool blocks, ref uint head, ref uint tail, uint count)
    {
        for (var left = blocks.Count; left > 0 && count >= blocks.Note(head).Length; left--)
        {
            ref var note = ref blocks.Note(head);
            var next = note.Next;
            Debug.Assert(next != ChunkPool.None, "the cut leaves something");
            count -= note.Length;
            blocks.Return(head);
            head = next;
        }
        ref var first = ref blocks.Note(head);
        first.Start += (ushort)count;
        first.Length -= (ushort)count;
        MoveToFront(blocks, head);
        if (head == tail) return;
        // What is left of the first block may now fit together with the second.
        var last = head;
        Join(blocks, ref last, first.Next, tail);
        tail = last;
    }

    /// <summary>Bytes and blocks of a chain, and whether it is whole, rented and dense: for checkers.</summary>
    internal static bool Check(ChunkPool blocks, uint head, uint tail, bool isRead, out uint length, out uint count)
    {
        (length, count) = (0, 0);
        var before = -1;
        for (var block = head; ; block = blocks.Note(block).Next)
        {
            if (!blocks.IsRented(block) || count >= (uint)blocks.Count) return false;
            ref var note = ref blocks.Note(block);
            if (note.Length == 0 || note.Start + note.Length > blocks.ChunkSize) return false;
            if (note.Start != 0 && block != head) return false;
            if (before >= 0 && before + note.Length <= blocks.ChunkSize && !(isRead && count == 1)) return false;
            before = note.Length;
            length += note.Length;
            count++;
            if (block == tail) return note.Next == ChunkPool.None;
        }
    }

    private static void MoveToFront(ChunkPool blocks, uint block)
    {
        ref var note = ref blocks.Note(block);
        if (note.Start == 0) return;
        var address = blocks.Address(block);
        // Overlaps when more than half is left; MemoryCopy moves like memmove.
        Buffer.MemoryCopy(address + note.Start, address, blocks.ChunkSize, note.Length);
        note.Start = 0;
    }
}
