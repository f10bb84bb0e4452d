// The site that bench/http/run measures: one page of Kestrel, on Peregrine or on the kernel's sockets, nothing else different.
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Peregrine.AspNetCore;

if (args is not (["kernel", _] or ["peregrine", _, _, _, _]))
{
    Console.Error.WriteLine("usage: kernel ADDRESS | peregrine ADDRESS KERNEL-ADDRESS NAMESPACE CONTROL-SOCKET (bench/http/run starts it)");
    return 2;
}

var page = "Hello, world!"u8.ToArray();
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.UseUrls($"http://{args[1]}:80");
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
app.Run(context =>
{
    context.Response.ContentLength = page.Length;
    context.Response.ContentType = "text/plain";
    return context.Response.Body.WriteAsync(page, 0, page.Length);
});
await app.RunAsync();
return 0;
