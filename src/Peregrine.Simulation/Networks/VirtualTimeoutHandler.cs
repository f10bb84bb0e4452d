// What HttpClient.Timeout does, by a clock that is not the system's: the request is cancelled, and the exception is the same.
using System.Net.Http;

namespace Peregrine.Simulation.Networks;

internal sealed class VirtualTimeoutHandler(HttpMessageHandler inner, TimeProvider time, TimeSpan timeout) : DelegatingHandler(inner)
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        using var clock = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, clock.Token);
        try
        {
            var response = await base.SendAsync(request, both.Token).ConfigureAwait(false);
            await response.Content.LoadIntoBufferAsync(both.Token).ConfigureAwait(false);
            return response;
        }
        catch (OperationCanceledException e) when (clock.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            var message = $"The request was canceled due to the configured timeout of {timeout.TotalSeconds} seconds elapsing.";
            throw new TaskCanceledException(message, new TimeoutException(message, e), clock.Token);
        }
    }
}
