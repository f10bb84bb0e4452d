// Wakes a sleeping core a little later: when the thread pool has run what was queued before. What its threads post meanwhile costs no system call and
// no switch to the core's thread each, which counts most where both share a processor. A core that is awake looks into its mailbox by itself.
using Peregrine.Core.Links;

namespace Peregrine;

internal sealed class DeferredWake(IWaiter waiter) : IThreadPoolWorkItem
{
    private bool _isAsleep;
    private int _isQueued;

    /// <summary>The core is about to sleep, and looks into its mailbox once more after this.</summary>
    internal void OnSleep()
    {
        Volatile.Write(ref _isAsleep, true);
        // Either the core sees what was posted, or the poster sees it asleep.
        Interlocked.MemoryBarrier();
    }

    internal void OnAwake() => Volatile.Write(ref _isAsleep, false);

    /// <summary>Something was posted that the core shall see soon. Any thread.</summary>
    internal void Request()
    {
        Interlocked.MemoryBarrier();
        if (!Volatile.Read(ref _isAsleep) || Interlocked.Exchange(ref _isQueued, 1) != 0) return;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    void IThreadPoolWorkItem.Execute()
    {
        // Before the waking: what is posted after it may find the core asleep again.
        Interlocked.Exchange(ref _isQueued, 0);
        if (Volatile.Read(ref _isAsleep)) waiter.Wake();
    }
}
