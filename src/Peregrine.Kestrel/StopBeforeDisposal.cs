// An application that ends by an exception is disposed without having been stopped, and Kestrel's Dispose then waits, blocking, for what its connections
// have still to do. On a simulated network that is never done: the thread that waits is the one that would do it. This stops the server first, and
// awaits it: a container disposes in reverse order of creation, and this is created after the server that it is given.
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.Extensions.Hosting;

namespace Peregrine.Kestrel;

internal sealed class StopBeforeDisposal(IServer server) : IHostedService, IAsyncDisposable
{
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // Cancelled from the start: whoever did not stop the application does not wait for its connections to end in peace.
    public async ValueTask DisposeAsync() => await server.StopAsync(new CancellationToken(canceled: true)).ConfigureAwait(false);
}
