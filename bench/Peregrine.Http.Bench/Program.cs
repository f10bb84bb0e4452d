// The site that bench/http/run and bench/peers/kestrel measure: Kestrel, on Peregrine or on the kernel's sockets, nothing else different.
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Peregrine.AspNetCore;
using Peregrine.Cli.Commands;

if (args is not (["kernel", _] or ["peregrine", _, _, _, _]))
{
    Console.Error.WriteLine("usage: kernel ADDRESS | peregrine ADDRESS KERNEL-ADDRESS NAMESPACE CONTROL-SOCKET (bench/http/run starts it)");
    return 2;
}

var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.ConfigureKestrel(kestrel =>
{
    kestrel.Listen(IPAddress.Parse(args[1]), 80);
    // HTTP/2 without TLS, known beforehand.
    kestrel.Listen(IPAddress.Parse(args[1]), 82, static listen => listen.Protocols = HttpProtocols.Http2);
});
if (args[0] == "peregrine")
{
    builder.WebHost.UsePeregrine(options =>
    {
        options.Link = "tap:pgbench";
        options.Addresses = [args[1] + "/24"];
        options.KernelAddresses = [args[2] + "/24"];
        options.LinkSettings = options.LinkSettings with { NetworkNamespace = args[3] };
        options.Network = options.Network with { ControlSocket = args[4] };
    });
}
var app = builder.Build();
app.Run(BenchPages.AnswerAsync);
await app.RunAsync();
return 0;
