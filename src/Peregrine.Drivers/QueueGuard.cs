// What every link checks before it opens a queue.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers;

internal static class QueueGuard
{
    /// <summary>Refuses a number that the link does not have, and a queue that is open already.</summary>
    /// <param name="link">The link's name, for the message.</param>
    /// <param name="queues">The queues that are open; null for those that are not.</param>
    /// <param name="index">The one that is wanted.</param>
    /// <param name="frames">The pool that it is to have.</param>
    public static void Check(string link, ReadOnlySpan<ILinkQueue?> queues, int index, FramePool frames)
    {
        ArgumentNullException.ThrowIfNull(frames);
        if ((uint)index >= (uint)queues.Length) throw new ArgumentOutOfRangeException(nameof(index), index, $"Must be 0 to {queues.Length - 1}.");
        if (queues[index] is not null) throw new InvalidOperationException($"Queue {index} of link '{link}' is open already.");
    }
}
