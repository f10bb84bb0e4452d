// The mailbox: bounded, in order per poster, nothing lost at its end.
using Peregrine.Sockets;

namespace Peregrine.Tests;

public sealed class MailboxTests
{
    [Fact]
    public void FullMailboxRefusesAndTakesAgainWhenEmptied()
    {
        var mailbox = new Mailbox(4);
        for (var i = 0u; i < 4; i++) Assert.True(mailbox.TryPost(new EngineCommand(EngineCommandKind.None, i)));
        Assert.False(mailbox.TryPost(default));
        Assert.True(mailbox.TryTake(out var first));
        Assert.Equal(0u, first.Index);
        Assert.True(mailbox.TryPost(new EngineCommand(EngineCommandKind.None, 4)));
        for (var i = 1u; i <= 4; i++)
        {
            Assert.True(mailbox.TryTake(out var command));
            Assert.Equal(i, command.Index);
        }
        Assert.True(mailbox.IsEmpty);
        Assert.False(mailbox.TryTake(out _));
    }

    [Fact]
    public void ClosedMailboxRefusesAndIsDrainedWhenEmpty()
    {
        var mailbox = new Mailbox(4);
        Assert.True(mailbox.TryPost(default));
        mailbox.Close();
        Assert.True(mailbox.IsClosed);
        Assert.False(mailbox.TryPost(default));
        Assert.False(mailbox.IsDrained);
        Assert.True(mailbox.TryTake(out _));
        Assert.True(mailbox.IsDrained);
    }

    [Fact]
    public async Task EveryAcceptedRecordArrivesOnceAndInItsPostersOrder()
    {
        const int posters = 6, each = 30_000;
        var mailbox = new Mailbox(64);
        var accepted = new int[posters];
        var tasks = Enumerable.Range(0, posters).Select(p => Task.Run(() =>
        {
            for (var i = 0u; i < each; i++)
            {
                while (!mailbox.TryPost(new EngineCommand(EngineCommandKind.None, (uint)p, i)))
                {
                    if (mailbox.IsClosed) return;
                    Thread.Yield();
                }
                accepted[p]++;
            }
        })).ToArray();
        var next = new uint[posters];
        var taken = 0;
        while (taken < posters * each / 2) Take();
        mailbox.Close();
        while (!mailbox.IsDrained) Take();
        await Task.WhenAll(tasks);
        Assert.Equal(accepted.Select(static n => (uint)n), next);

        void Take()
        {
            if (!mailbox.TryTake(out var command)) return;
            Assert.Equal(next[command.Index]++, command.Generation);
            taken++;
        }
    }
}
