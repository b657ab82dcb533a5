//! Generates barnabas.v1 from proto/; needs no protoc.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = std::env::var("PROTO").unwrap_or("../../../proto".into());
    println!("cargo:rerun-if-changed={proto}");
    let files = protox::compile(["barnabas/v1/group_service.proto"], [proto])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
