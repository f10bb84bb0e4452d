// The late waking of a core: not while it is awake, once for what was posted together, never forgotten.
using Peregrine.Core.Links;
using Peregrine.Core.Time;

namespace Peregrine.Tests;

public sealed class DeferredWakeTests
{
    [Fact]
    public async Task ACoreThatIsAwakeIsLeftAlone()
    {
        var waiter = new CountingWaiter();
        var wake = new DeferredWake(waiter);
        wake.Request();
        wake.OnSleep();
        wake.OnAwake();
        wake.Request();
        // The pool runs in order what is put into its common queue: when this has run, a waking would have.
        var ran = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        ThreadPool.UnsafeQueueUserWorkItem(static done => done.SetResult(), ran, preferLocal: false);
        await ran.Task.WaitAsync(TimeSpan.FromMinutes(2));
        Assert.Equal(0, waiter.Count);
    }

    [Fact]
    public async Task EachSleepIsEndedByARequest()
    {
        var waiter = new CountingWaiter();
        var wake = new DeferredWake(waiter);
        for (var i = 1; i <= 100; i++)
        {
            var woken = waiter.NextAsync();
            wake.OnSleep();
            wake.Request();
            await woken.WaitAsync(TimeSpan.FromMinutes(2));
            wake.OnAwake();
            Assert.Equal(i, waiter.Count);
        }
    }

    private sealed class CountingWaiter : IWaiter
    {
        private volatile TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _count;

        internal int Count => Volatile.Read(ref _count);

        public bool Wait(ReadOnlySpan<int> descriptors, Duration timeout) => throw new NotSupportedException();

        public void Wake()
        {
            Interlocked.Increment(ref _count);
            _next.TrySetResult();
        }

        public void Dispose() => _next.TrySetResult();

        internal Task NextAsync() => (_next = new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }
}
