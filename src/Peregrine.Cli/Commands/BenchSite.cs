// The benchmarks' server with ASP.NET Core on it: HTTP/1.1 and HTTP/2 without TLS. Kestrel on the kernel's sockets beside it is
// bench/Peregrine.Http.Bench, with the same pages.
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Peregrine.AspNetCore;
using Peregrine.Bench;
using Peregrine.Bench.Serving;

namespace Peregrine.Cli.Commands;

internal static class BenchSite
{
    internal static async Task RunAsync(ServerOrder order, TextReader input, TextWriter output, CancellationToken cancel)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders();
        builder.WebHost.UsePeregrine(options =>
        {
            options.OpenLink = () => ServerSettings.WithLoss(ServerProcess.OpenLink(order), order.LossPercent);
            options.Network = ServerProcess.Options(order);
        });
        builder.WebHost.ConfigureKestrel(static kestrel =>
        {
            kestrel.ListenAnyIP(Services.Http);
            kestrel.ListenAnyIP(Services.Http2, static listen => listen.Protocols = HttpProtocols.Http2);
        });
        var app = builder.Build();
        await using (app.ConfigureAwait(false))
        {
            app.Run(BenchPages.AnswerAsync);
            await app.StartAsync(cancel).ConfigureAwait(false);
            await ServerProcess.AnswerAsync(input, output, cancel).ConfigureAwait(false);
        }
    }
}
